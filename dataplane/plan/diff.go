// Package plan compares what is wanted with what is there and says what to change. It is pure:
// no I/O, no clock, deterministic order. It imports dataplane/model and the standard library
// only; the drivers netif, nft and realserver plan with it.
package plan

import (
	"cmp"
	"maps"
	"slices"
)

// Changes says how to get from what is there to what is wanted. Each slice is in ascending
// order of keys.
type Changes[K cmp.Ordered, V any] struct {
	// Add are wanted and not there.
	Add []Item[K, V]
	// Update are there with another value; Value is the wanted one.
	Update []Item[K, V]
	// Remove are there and not wanted; Value is the one that is there.
	Remove []Item[K, V]
}

// Item is a key with its value.
type Item[K cmp.Ordered, V any] struct {
	Key   K
	Value V
}

// Empty tells whether nothing is to be changed.
func (c Changes[K, V]) Empty() bool {
	return len(c.Add) == 0 && len(c.Update) == 0 && len(c.Remove) == 0
}

// Diff compares want with have; equal decides whether two values of one key are the same.
func Diff[K cmp.Ordered, V any](want, have map[K]V, equal func(want, have V) bool) Changes[K, V] {
	var c Changes[K, V]
	for _, k := range slices.Sorted(maps.Keys(want)) {
		old, there := have[k]
		switch {
		case !there:
			c.Add = append(c.Add, Item[K, V]{k, want[k]})
		case !equal(want[k], old):
			c.Update = append(c.Update, Item[K, V]{k, want[k]})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(have)) {
		if _, wanted := want[k]; !wanted {
			c.Remove = append(c.Remove, Item[K, V]{k, have[k]})
		}
	}
	return c
}
