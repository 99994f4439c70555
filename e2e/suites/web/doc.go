// Package web shows the layer 7 engine before the web: requests that can be read in two ways and such that cannot, beside
// HAProxy, nginx and net/http; scanners and slow clients; bodies of gigabytes, and bodies that nobody wants.
//
// The front is the shipped program with shipped defaults.
package web
