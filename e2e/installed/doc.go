// Package installed is a real Kubernetes cluster with the product installed by Helm, as a platform
// engineer does it, for suites that need one. The only worker is the director.
//
// It may import e2e/... and client-go, and nothing of the product.
package installed
