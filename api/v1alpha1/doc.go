// Package v1alpha1 holds the API types of group lb.truepacs.io.
//
// A TruePACSBalancer says which virtual IP addresses front which PACS servers and on which
// data path. TruePACSNode and TruePACSReport are written by the agents, one writer each. Only
// fields that work are here: a field that is accepted does what its comment says.
//
// The package may import Kubernetes API machinery and nothing of this module. No default is set
// by the schema and nothing of ours writes a spec: defaults are applied in internal/translate
// and documented at the field.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=applyconfiguration
// +groupName=lb.truepacs.io
package v1alpha1
