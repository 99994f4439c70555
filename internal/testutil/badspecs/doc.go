// Package badspecs is the table of specs that must be refused, each with the field and the words
// that the refusal has to name, and with the remedy that must be accepted then. The schema's own
// tests, the tests against a real API server and those against a running host share it.
//
// It may import k8s.io/apimachinery and is used by tests alone.
package badspecs
