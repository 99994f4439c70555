//go:build race

package l7_test

// allocationLimit is generous under the race detector, where sync.Pool forgets at random.
const allocationLimit = 10
