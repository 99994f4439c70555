// Package flow keeps connections and a transfer going through a balancer while faults happen,
// and says which of them were cut. Its servers are plain TCP: what they count is independent of
// the product. It imports the standard library only.
package flow
