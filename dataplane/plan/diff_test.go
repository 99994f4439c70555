package plan

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestDiffLeadsFromHaveToWant applies the changes to random states: the result is what was
// wanted, nothing is done twice, and a second Diff is empty.
func TestDiffLeadsFromHaveToWant(t *testing.T) {
	equal := func(a, b int) bool { return a == b }
	state := rapid.MapOf(rapid.StringMatching(`[a-d]{1,2}`), rapid.IntRange(0, 3))
	rapid.Check(t, func(t *rapid.T) {
		want, have := state.Draw(t, "want"), state.Draw(t, "have")
		changes := Diff(want, have, equal)
		got := maps.Clone(have)
		for _, item := range changes.Remove {
			if _, wanted := want[item.Key]; wanted || have[item.Key] != item.Value {
				t.Fatalf("removes %v", item)
			}
			delete(got, item.Key)
		}
		for _, item := range slices.Concat(changes.Add, changes.Update) {
			if have[item.Key] == item.Value && hasKey(have, item.Key) {
				t.Fatalf("writes %v although it is there", item)
			}
			got[item.Key] = item.Value
		}
		if !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if !Diff(want, got, equal).Empty() {
			t.Fatal("second diff is not empty")
		}
	})
}

func hasKey(m map[string]int, k string) bool { _, ok := m[k]; return ok }

func TestDiffIsInOrderOfKeys(t *testing.T) {
	want := map[string]int{"c": 1, "a": 1, "b": 2, "d": 2}
	have := map[string]int{"z": 1, "y": 1, "b": 1, "d": 1}
	changes := Diff(want, have, func(a, b int) bool { return a == b })
	for name, items := range map[string][]Item[string, int]{"add": changes.Add, "update": changes.Update, "remove": changes.Remove} {
		if len(items) != 2 || items[0].Key > items[1].Key {
			t.Errorf("%s: %v", name, items)
		}
	}
}
