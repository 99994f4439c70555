package model

import "errors"

// ItemError says that one item of a desired set could not be programmed; the others could.
// Drivers join them with errors.Join.
type ItemError struct {
	// Key is the item's Key (of a VirtualService, VirtualIP or Listener) or address.
	Key string
	// Reason is one CamelCase word, see the reasons of conditions: KernelRefused,
	// ModuleMissing, InterfaceNotFound, ProxyRefused.
	Reason string
	// Err says what happened and what to do.
	Err error
}

// Error implements error.
func (e *ItemError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// ItemErrors returns the item errors in a tree of joined errors, by key; the first of a key
// wins. rest holds what is not about one item, nil if there is nothing.
func ItemErrors(err error) (items map[string]*ItemError, rest error) {
	items = map[string]*ItemError{}
	var others []error
	walk(err, func(e error) {
		var item *ItemError
		if !errors.As(e, &item) {
			others = append(others, e)
			return
		}
		if _, there := items[item.Key]; !there {
			items[item.Key] = item
		}
	})
	return items, errors.Join(others...)
}

func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		visit(err)
		return
	}
	for _, e := range joined.Unwrap() {
		walk(e, visit)
	}
}
