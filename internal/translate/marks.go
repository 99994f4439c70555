package translate

import (
	"hash/fnv"
	"maps"
	"slices"
)

// MarkRange is the range of firewall marks that is ours: Base to Base + 2^Bits - 1.
type MarkRange struct {
	// Base is the first mark; its low Bits bits are zero, and it is not zero.
	Base uint32 `json:"base"`
	// Bits is the size of the range, 16 to 24.
	Bits int `json:"bits"`
}

// DefaultMarks are the marks 0x54000000 to 0x54ffffff, which no known network plug-in uses.
func DefaultMarks() MarkRange { return MarkRange{Base: 0x54000000, Bits: 24} }

// Contains tells whether a mark is ours.
func (m MarkRange) Contains(mark uint32) bool {
	return mark != 0 && mark>>m.Bits == m.Base>>m.Bits
}

func (m MarkRange) orDefault() MarkRange {
	if m.Base == 0 || m.Bits < 16 || m.Bits > 24 || m.Base&(1<<m.Bits-1) != 0 {
		return DefaultMarks()
	}
	return m
}

// marksFor gives each service key its mark: a hash of the key (FNV-1a), so that all directors
// agree. A mark in use stands; of two new keys with one hash the first in order has it and the
// other the next free one.
func marksFor(keys []string, used map[string]uint32, in MarkRange) map[string]uint32 {
	m := in.orDefault()
	out := make(map[string]uint32, len(keys))
	taken := map[uint32]bool{}
	keys = slices.Sorted(slices.Values(keys))
	for _, k := range slices.Sorted(maps.Keys(used)) {
		_, wanted := slices.BinarySearch(keys, k)
		if wanted && m.Contains(used[k]) && !taken[used[k]] {
			out[k] = used[k]
			taken[used[k]] = true
		}
	}
	for _, k := range keys {
		if _, has := out[k]; !has {
			out[k] = m.free(hash(k), taken)
			taken[out[k]] = true
		}
	}
	return out
}

// free returns the first free mark at or after that of a hash. Should all 65536 or more be
// taken, one is shared rather than none given.
func (m MarkRange) free(hashed uint32, taken map[uint32]bool) uint32 {
	mask := uint32(1)<<m.Bits - 1
	offset := (hashed ^ hashed>>m.Bits) & mask
	for i := uint32(0); i <= mask; i++ {
		if mark := m.Base | (offset+i)&mask; !taken[mark] {
			return mark
		}
	}
	return m.Base | offset
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
