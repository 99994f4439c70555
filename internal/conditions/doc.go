// Package conditions decides what the status of a TruePACSBalancer says.
//
// Fold is a pure function from a balancer, the reports of its directors and the directors'
// Leases to a status. Every condition is one decision: a chain of small functions over a scope,
// of which the first that has an opinion wins; the chain reads as documentation. Merge keeps the
// time of the last transition. Transitions names what deserves an event.
//
// Messages are for the administrator of a PACS at 3 am: a sentence that names the field, the
// node or the server, and what to do.
//
// It may import the standard library, k8s.io/apimachinery and api/v1alpha1.
package conditions
