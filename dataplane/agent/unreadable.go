package agent

import (
	"errors"

	"github.com/truepacs/balancer/dataplane/model"
)

// ofEach makes an item error about all services one of each, with its reason: a missing module is
// named as such from the first pass on. Another error stays as it is.
func ofEach(services []model.VirtualService, err error) error {
	var item *model.ItemError
	if !errors.As(err, &item) || item.Key != "" {
		return err
	}
	errs := make([]error, 0, len(services))
	for i := range services {
		errs = append(errs, &model.ItemError{Key: services[i].Key, Reason: item.Reason, Err: item.Err})
	}
	return errors.Join(errs...)
}
