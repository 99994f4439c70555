package translate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMarksDependOnTheKeyAlone(t *testing.T) {
	one := marksFor([]string{"ns/b/dicom"}, nil, MarkRange{})
	many := marksFor([]string{"ns/a/x", "ns/b/dicom", "ns/c/y"}, nil, MarkRange{})
	if one["ns/b/dicom"] != many["ns/b/dicom"] {
		t.Errorf("the mark of a service depends on others: %#x, %#x", one["ns/b/dicom"], many["ns/b/dicom"])
	}
	if want := uint32(0x54e2c13b); one["ns/b/dicom"] != want {
		t.Errorf("the mark of ns/b/dicom is %#x, it was %#x in all releases: connections that are synchronised carry it", one["ns/b/dicom"], want)
	}
}

// TestMarkCollision uses two keys whose hashes are equal in a range of 16 bits.
func TestMarkCollision(t *testing.T) {
	small := MarkRange{Base: 0x10000, Bits: 16}
	first, second := collision(small)
	got := marksFor([]string{second, first}, nil, small)
	if got[first] == got[second] {
		t.Fatalf("one mark for both: %#x", got[first])
	}
	if alone := marksFor([]string{first}, nil, small); alone[first] != got[min(first, second)] {
		t.Errorf("the first key in order lost its own mark")
	}
	used := marksFor([]string{second}, nil, small)
	again := marksFor([]string{first, second}, used, small)
	if again[second] != used[second] {
		t.Errorf("a mark in use changed from %#x to %#x", used[second], again[second])
	}
}

func collision(m MarkRange) (string, string) {
	seen := map[uint32]string{}
	for i := 0; ; i++ {
		key := "ns/b/s" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		mark := marksFor([]string{key}, nil, m)[key]
		if other, has := seen[mark]; has {
			return other, key
		}
		seen[mark] = key
	}
}

func TestMarksAreDistinctAndOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,4}/[a-c]/[a-z]{1,3}`), 0, 40, rapid.ID).Draw(t, "keys")
		m := rapid.SampledFrom([]MarkRange{{}, {Base: 0x20000, Bits: 16}, {Base: 3, Bits: 24}, {Base: 1 << 24, Bits: 99}}).Draw(t, "range")
		used := map[string]uint32{}
		for _, k := range keys {
			if rapid.Bool().Draw(t, "used") {
				used[k] = rapid.Uint32().Draw(t, "mark")
			}
		}
		got := marksFor(keys, used, m)
		seen := map[uint32]bool{}
		for _, k := range keys {
			if seen[got[k]] || !m.orDefault().Contains(got[k]) {
				t.Fatalf("%s: mark %#x is taken or not ours", k, got[k])
			}
			seen[got[k]] = true
		}
		if diff := cmp.Diff(got, marksFor(keys, got, m)); diff != "" {
			t.Fatalf("marks do not stand: %s", diff)
		}
	})
}

func TestMarkRangeContains(t *testing.T) {
	m := DefaultMarks()
	for mark, want := range map[uint32]bool{0: false, 0x53ffffff: false, 0x54000000: true, 0x54ffffff: true, 0x55000000: false, 0x4000: false} {
		if m.Contains(mark) != want {
			t.Errorf("%#x: got %v", mark, !want)
		}
	}
}
