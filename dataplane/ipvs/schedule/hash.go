package schedule

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/model"
)

// table is what a hashing scheduler looks its servers up in.
type table interface {
	// bucket is the place for a client's number; offset moves it.
	bucket(number, offset uint32) uint32
	// size is the number of buckets.
	size() uint32
	// server is the server of a bucket, -1 for none.
	server(bucket uint32) int
}

// fold makes a number of an address: IPv4's, or of IPv6 the four words combined by exclusive or.
func fold(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	var sum uint32
	b := a.As16()
	for i := 0; i < len(b); i += 4 {
		sum ^= binary.BigEndian.Uint32(b[i:])
	}
	return sum
}

// firstPort is the least port that clients are assumed to use where theirs is not known.
const firstPort = 1024

// hashed is the choice of SourceHash and MaglevHash.
func (s *Service) hashed(usable func(int) bool, client netip.AddrPort) Choice {
	var t table
	if s.Scheduler == model.SourceHash {
		t = fillSourceTable(s.Servers)
	} else {
		t = fillMaglevTable(s.Servers)
	}
	number := fold(client.Addr())
	switch {
	case !s.Flags.Port:
		return certain(s.find(t, usable, number))
	case client.Port() != 0:
		return certain(s.find(t, usable, number+uint32(client.Port())))
	}
	return s.overPorts(t, usable, number)
}

// overPorts counts where a client gets to from all of its ports.
func (s *Service) overPorts(t table, usable func(int) bool, number uint32) Choice {
	const ports = 1<<16 - firstPort
	hits := make([]int, len(s.Servers)+1) // the last: none
	for port := uint32(firstPort); port < 1<<16; port++ {
		i := s.find(t, usable, number+port)
		if i < 0 {
			i = len(s.Servers)
		}
		hits[i]++
	}
	c := Choice{MayRefuse: hits[len(s.Servers)] > 0}
	for i, n := range hits[:len(s.Servers)] {
		if n > 0 {
			c.Candidates = append(c.Candidates, Candidate{Server: i, Share: float64(n) / ports})
		}
	}
	switch {
	case len(c.Candidates) == 0:
		return Choice{}
	case len(c.Candidates) > 1 || c.MayRefuse:
		c.Doubt = Port
	}
	return c
}

// find looks a number up; with the flag Fallback it goes on from bucket to bucket where the server
// takes none.
func (s *Service) find(t table, usable func(int) bool, number uint32) int {
	first := t.bucket(number, 0)
	i := t.server(first)
	if i < 0 || usable(i) {
		return i
	}
	if !s.Flags.Fallback {
		return -1
	}
	for step := range t.size() {
		i := t.server(t.bucket(number, (first+step)%t.size()))
		if i < 0 || usable(i) {
			return i
		}
	}
	return -1
}

const (
	sourceBits    = 8 // CONFIG_IP_VS_SH_TAB_BITS
	sourceBuckets = 1 << sourceBits
	goldenRatio   = 0x61C88647 // of hash_32, linux/hash.h
)

// sourceTable is that of SourceHash.
type sourceTable [sourceBuckets]int

// fillSourceTable gives the servers as many buckets in a row as they have weight, one at least, over
// and over until the table is full.
func fillSourceTable(servers []Server) *sourceTable {
	var t sourceTable
	at, given := 0, 0
	for i := range t {
		if len(servers) == 0 {
			t[i] = -1
			continue
		}
		t[i] = at
		if given++; given >= servers[at].Weight {
			at, given = (at+1)%len(servers), 0
		}
	}
	return &t
}

func (t *sourceTable) size() uint32             { return sourceBuckets }
func (t *sourceTable) server(bucket uint32) int { return t[bucket] }

func (t *sourceTable) bucket(number, offset uint32) uint32 {
	return (offset + number*goldenRatio>>(32-sourceBits)) % sourceBuckets
}

// sip13 is SipHash-1-3 (Aumasson and Bernstein) of one word of 32 bits, of which it returns the lower
// half: hsiphash of the kernel on machines with 64 bits.
func sip13(word uint32, key [2]uint64) uint32 {
	v0, v1 := key[0]^0x736f6d6570736575, key[1]^0x646f72616e646f6d
	v2, v3 := key[0]^0x6c7967656e657261, key[1]^0x7465646279746573
	round := func() {
		v0 += v1
		v2 += v3
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v1
		v0 += v3
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(4)<<56 | uint64(word) // the length in bytes comes first
	v3 ^= last
	round()
	v0 ^= last
	v2 ^= 0xff
	round()
	round()
	round()
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}
