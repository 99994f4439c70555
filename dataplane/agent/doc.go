// Package agent makes one host do what a model.Node says and keeps it so: it remembers the last
// Node on disk, starts from it without any other source, weighs servers by their health and
// hands whole desired sets to the drivers.
//
// The package imports dataplane/model and the pure dataplane/weights and dataplane/drain, and
// declares the interfaces of the drivers it uses; the drivers are passed in. It knows no Kubernetes
// type.
package agent
