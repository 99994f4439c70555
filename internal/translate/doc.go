// Package translate turns TruePACSBalancers into what one node must do. It is the only package
// that knows both the API and the model, and it is pure: no clock, no I/O, the same result for
// the same input whatever the order of its lists.
//
// The stages, see Translate: choose each balancer's director, build what every service asks
// for, settle who gets which address and port, keep the last good state of what is refused, and
// render the rest into a model.Node. All defaults of the API are applied here, as the comments
// of the fields in api/v1alpha1 say.
//
// The package may import api/v1alpha1, dataplane/model and apimachinery; no Kubernetes client.
package translate
