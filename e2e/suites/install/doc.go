// Package install shows the product on a real Kubernetes cluster: installed by Helm, applied by
// kubectl, used from outside, deleted without leaving anything.
package install
