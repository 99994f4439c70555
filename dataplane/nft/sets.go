package nft

import (
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Names of the sets and maps without their family; each is there for IPv4 and for IPv6, with a 4
// or a 6 behind, but for the one of neighbours.
const (
	setServices        = "services"        // destination : mark
	setRanges          = "ranges"          // destination with a range of ports : mark
	setUntracked       = "untracked"       // destinations that need no connection tracking
	setUntrackedRanges = "untrackedranges" // the same with ranges of ports
	setResets          = "resets"          // flows to be reset
	setTold            = "told"            // flows whose server has been told; filled by packets
	setMasquerade      = "masquerade"      // marks of services whose packets get our source address
	setVirtual         = "virtual"         // addresses of services
	setBehind          = "behind"          // servers whose replies must come back through this host
	setGuarded         = "guarded"         // addresses of which only declared ports answer
	setOpen            = "open"            // declared destinations that are no services
	setOpenRanges      = "openranges"      // the same with ranges of ports
	setClosing         = "closing"         // destinations of TCP that were declared until a while ago
	setClosingRanges   = "closingranges"   // the same with ranges of ports
	setAnswers         = "answers"         // who may answer a datagram of this host; filled by packets
	setClamp           = "clamp"           // addresses whose connections get smaller segments
	setPeers           = "peers"           // MAC addresses of other directors
	setMarks           = "marks"           // marks of services
	setBalanced        = "balanced"        // addresses of services
	setThrough         = "through"         // replies of servers that came here; filled by packets
	setUnmarked        = "unmarked"        // destinations of packets without a service's mark; filled by packets
)

const (
	// resetLife is how long a flow is reset if nobody asks again.
	resetLife = 2 * time.Minute
	// toldLife is how long the client alone is told of a reset before the server is told again: more
	// than the time between two packets that are provoked.
	toldLife = 5 * time.Second
	// closingLife is how long what is left of connections to a port that is no longer declared is
	// answered: IPVS forgets an idle connection of TCP in that time (layer4Timeouts.tcpSeconds).
	closingLife = time.Hour
	// answerLife is how long an answer to a datagram may take; conntrack's time for a stream.
	answerLife = 2 * time.Minute
	// answerCount bounds what packets may add to a set.
	answerCount = 65536
	// seenLife is how long Seen tells of a packet. Whoever asks has to ask more often.
	seenLife = 4 * time.Second
	// seenCount bounds what is remembered of one kind.
	seenCount = 1024
)

// family is what differs between IPv4 and IPv6.
type family struct {
	suffix  string
	nfproto byte
	address nftables.SetDatatype
	// source and destination are offsets in the header in bytes (RFC 791 section 3.1, RFC
	// 8200 section 3).
	source, destination uint32
}

var (
	inet4 = family{"4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 16}
	inet6 = family{"6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 24}
)

func families() []family { return []family{inet4, inet6} }

// setSpec describes a set, or with a value a map.
type setSpec struct {
	name     string
	key      []nftables.SetDatatype
	value    *nftables.SetDatatype
	interval bool   // keys are ranges, looked up by the pipapo algorithm
	timeout  bool   // elements may vanish by themselves
	dynamic  uint32 // packets add the elements, at most so many; 0: we do
	counted  bool   // each element counts the packets that it matches
}

// spec is the set of the nftables library.
func (s setSpec) spec(table *nftables.Table) (*nftables.Set, error) {
	key := s.key[0]
	if len(s.key) > 1 {
		var err error
		if key, err = nftables.ConcatSetType(s.key...); err != nil {
			return nil, err
		}
	}
	set := &nftables.Set{
		Table: table, Name: s.name, KeyType: key, Interval: s.interval, Concatenation: s.interval,
		HasTimeout: s.timeout, Dynamic: s.dynamic > 0, Size: s.dynamic, Counter: s.counted,
	}
	if s.value != nil {
		set.IsMap, set.DataType = true, *s.value
	}
	return set, nil
}

// flags are those of linux/netfilter/nf_tables.h.
func (s setSpec) flags() uint32 {
	var flags uint32
	for flag, on := range map[uint32]bool{
		unix.NFT_SET_MAP:     s.value != nil,
		unix.NFT_SET_TIMEOUT: s.timeout,
		unix.NFT_SET_EVAL:    s.dynamic > 0,
		unix.NFT_SET_INTERVAL | nftables.NFT_SET_CONCAT: s.interval,
	} {
		if on {
			flags |= flag
		}
	}
	return flags
}

// sets returns what a table of this shape has.
func (s Shape) sets() []setSpec {
	var all []setSpec
	if s.Director {
		all = append(all,
			setSpec{name: setPeers, key: types(nftables.TypeEtherAddr)},
			setSpec{name: setMarks, key: types(nftables.TypeMark)})
	}
	for _, f := range families() {
		if s.Director {
			all = append(all, directorSets(f)...)
		}
		if s.Masquerade {
			all = append(all,
				setSpec{name: setMasquerade + f.suffix, key: types(nftables.TypeMark)},
				setSpec{name: setVirtual + f.suffix, key: types(f.address)})
		}
		if s.Gateway {
			all = append(all, setSpec{name: setBehind + f.suffix, key: types(f.address)})
		}
		if s.Guard {
			all = append(all, guardSets(f)...)
		}
		if s.clamp(f) > 0 {
			all = append(all, setSpec{name: setClamp + f.suffix, key: types(f.address)})
		}
	}
	return all
}

func types(all ...nftables.SetDatatype) []nftables.SetDatatype { return all }

func destinationTypes(f family) []nftables.SetDatatype {
	return types(f.address, nftables.TypeInetProto, nftables.TypeInetService)
}

func flowTypes(f family) []nftables.SetDatatype {
	return types(f.address, nftables.TypeInetService, f.address, nftables.TypeInetService)
}

func directorSets(f family) []setSpec {
	return []setSpec{
		{name: setServices + f.suffix, key: destinationTypes(f), value: &nftables.TypeMark, counted: true},
		{name: setRanges + f.suffix, key: destinationTypes(f), value: &nftables.TypeMark, interval: true, counted: true},
		{name: setUntracked + f.suffix, key: destinationTypes(f)},
		{name: setUntrackedRanges + f.suffix, key: destinationTypes(f), interval: true},
		{name: setResets + f.suffix, key: flowTypes(f), timeout: true},
		{name: setTold + f.suffix, key: flowTypes(f), timeout: true, dynamic: answerCount},
		{name: setBalanced + f.suffix, key: types(f.address)},
		throughSpec(f), unmarkedSpec(f),
	}
}

// throughSpec has what a packet through this host shows: the virtual address that it comes from,
// the sender's MAC address, and whom it is for.
func throughSpec(f family) setSpec {
	return setSpec{
		name: setThrough + f.suffix, key: types(f.address, nftables.TypeEtherAddr, f.address), timeout: true, dynamic: seenCount,
	}
}

func unmarkedSpec(f family) setSpec {
	return setSpec{name: setUnmarked + f.suffix, key: destinationTypes(f), timeout: true, dynamic: seenCount}
}

func guardSets(f family) []setSpec {
	return []setSpec{
		{name: setGuarded + f.suffix, key: types(f.address)},
		{name: setOpen + f.suffix, key: destinationTypes(f)},
		{name: setOpenRanges + f.suffix, key: destinationTypes(f), interval: true},
		{name: setClosing + f.suffix, key: destinationTypes(f), timeout: true},
		{name: setClosingRanges + f.suffix, key: destinationTypes(f), interval: true, timeout: true},
		{name: setAnswers + f.suffix, key: flowTypes(f), timeout: true, dynamic: answerCount},
	}
}
