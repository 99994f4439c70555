package schedule

import "math/bits"

const (
	maglevBuckets = 4093 // the prime number of CONFIG_IP_VS_MH_TAB_INDEX=12
	maglevBits    = 6    // half of the index: bits that the largest weight keeps
	// The keys' words are fixed in the kernel, so that all directors have one table.
	maglevWord     = 2654435761 // of clients, and of a server's first bucket
	maglevSkipWord = 2654446892 // of a server's step
)

func maglevHash(number uint32) uint32 { return sip13(number, [2]uint64{maglevWord, maglevWord}) }
func maglevSkipHash(number uint32) uint32 {
	return sip13(number, [2]uint64{maglevSkipWord, maglevSkipWord})
}

// maglevTable is that of MaglevHash (Eisenbud and others, Maglev, NSDI 2016, section 3.4).
type maglevTable []int

func (t maglevTable) size() uint32             { return maglevBuckets }
func (t maglevTable) server(bucket uint32) int { return t[bucket] }

func (t maglevTable) bucket(number, offset uint32) uint32 {
	return maglevHash(number+offset) % maglevBuckets
}

// fillMaglevTable lets the servers take buckets in turns, each the next free one of its own order,
// as many in a turn as it has weight. Servers that have never had weight take none.
func fillMaglevTable(servers []Server) maglevTable {
	t := make(maglevTable, maglevBuckets)
	for i := range t {
		t[i] = -1
	}
	turns := maglevTurns(servers)
	at, skip := make([]uint32, len(servers)), make([]uint32, len(servers))
	some := false
	for i := range servers {
		number := fold(servers[i].Address.Addr()) + uint32(servers[i].Address.Port())
		at[i] = maglevHash(number) % maglevBuckets
		skip[i] = maglevSkipHash(number)%(maglevBuckets-1) + 1
		some = some || turns[i] > 0
	}
	for filled := 0; some && filled < maglevBuckets; {
		for i := range servers {
			for n := 0; n < turns[i] && filled < maglevBuckets; n++ {
				for t[at[i]] >= 0 {
					at[i] = (at[i] + skip[i]) % maglevBuckets
				}
				t[at[i]] = i
				filled++
			}
		}
	}
	return t
}

// maglevTurns divides the weights by their common divisor and keeps maglevBits of them; what has
// weight keeps one.
func maglevTurns(servers []Server) []int {
	divisor, most := 0, 0
	for i := range servers {
		if w := servers[i].LastWeight; w > 0 {
			divisor, most = gcd(w, divisor), max(most, w)
		}
	}
	turns := make([]int, len(servers))
	if divisor == 0 {
		return turns
	}
	shift := max(0, bits.Len(uint(most/divisor))-maglevBits)
	for i := range servers {
		if w := servers[i].LastWeight; w > 0 {
			turns[i] = max(1, w/divisor>>shift)
		}
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
