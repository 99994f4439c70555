//go:build !race

package l7_test

// allocationLimit: a garbage collection empties the buffer pools now and then, so an average
// above zero would be no mistake; one allocation a request is.
const allocationLimit = 1
