package nft

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// TestElementsThatDoNotCountAreNotOurs: a version before made them, and the table is to be made anew.
func TestElementsThatDoNotCountAreNotOurs(t *testing.T) {
	specs := directorSets(inet4)
	set, err := specs[0].spec(tableOf(DefaultTable))
	if err != nil {
		t.Fatal(err)
	}
	element := nftables.SetElement{Key: make([]byte, set.KeyType.Bytes), Val: make([]byte, lengthMark)}
	if parseElement(set, element) != nil {
		t.Error("an element of services4 without a counter is taken for ours")
	}
	element.Counter = &expr.Counter{}
	if parseElement(set, element) == nil {
		t.Error("an element of services4 with a counter is not taken for ours")
	}
}
