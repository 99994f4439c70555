// Package nodes shows that nodes of a Kubernetes cluster become real servers by themselves: pods on the
// host network behind a Service are balanced by direct routing, the director's own node among them; their
// nodes are prepared, also after a reboot, and given back; a pod that ends keeps its connections and gets
// no new one.
//
// It may import e2e/....
package nodes
