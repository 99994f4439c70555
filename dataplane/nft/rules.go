package nft

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Lengths and offsets of header fields in bytes (IEEE 802.3; RFC 9293 section 3.1; RFC 768).
const (
	lengthMAC         = 6
	offsetSourceMAC   = 6
	lengthPort        = 2
	offsetSource      = 0
	offsetDestination = 2
	offsetFlags       = 13
	offsetChecksum    = 16
	offsetFragment    = 2 // in the fragment header of IPv6
	lengthMark        = 4
)

// TCP flags and the option maximum segment size (RFC 9293 sections 3.1 and 3.2).
const (
	flagSYN   = 0x02
	flagRST   = 0x04
	flagACK   = 0x10
	optionMSS = 2
	offsetMSS = 2 // behind the option's kind and length
)

// Types of ICMP and ICMPv6 messages, their first byte.
const (
	offsetType     = 0
	icmpRedirect   = 5
	icmpv6Redirect = 137
)

// Types of interfaces, linux/if_arp.h.
const (
	arphrdEther    = 1
	arphrdLoopback = 772
)

type rule = []expr.Any

// part loads one part of a key into registers and tells how many of four bytes it takes.
type part func(f family, register uint32) (expr.Any, int)

func addressPart(offset func(family) uint32) part {
	return func(f family, register uint32) (expr.Any, int) {
		return payload(expr.PayloadBaseNetworkHeader, offset(f), f.address.Bytes, register), int(f.address.Bytes / 4)
	}
}

func portPart(offset uint32) part {
	return func(_ family, register uint32) (expr.Any, int) {
		return payload(expr.PayloadBaseTransportHeader, offset, lengthPort, register), 1
	}
}

func protocolPart(_ family, register uint32) (expr.Any, int) {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, 1
}

func markPart(_ family, register uint32) (expr.Any, int) {
	return &expr.Meta{Key: expr.MetaKeyMARK, Register: register}, 1
}

func macPart(_ family, register uint32) (expr.Any, int) {
	return payload(expr.PayloadBaseLLHeader, offsetSourceMAC, lengthMAC, register), 2
}

func sourceAddress() part      { return addressPart(func(f family) uint32 { return f.source }) }
func destinationAddress() part { return addressPart(func(f family) uint32 { return f.destination }) }

// destinationParts are the key of destinations, sourceParts that of packets that come from one,
// flowParts that of the sender's flow and
// answerParts that of the flow which answers it.
func destinationParts() []part {
	return []part{destinationAddress(), protocolPart, portPart(offsetDestination)}
}

func sourceParts() []part {
	return []part{sourceAddress(), protocolPart, portPart(offsetSource)}
}

func flowParts() []part {
	return []part{sourceAddress(), portPart(offsetSource), destinationAddress(), portPart(offsetDestination)}
}

func answerParts() []part {
	return []part{destinationAddress(), portPart(offsetDestination), sourceAddress(), portPart(offsetSource)}
}

// register is the n-th of sixteen of four bytes, named as the kernel names it: each fourth by
// the register of sixteen bytes that begins there.
func register(n int) uint32 {
	if n%4 == 0 {
		return uint32(unix.NFT_REG_1 + n/4)
	}
	return uint32(unix.NFT_REG32_00 + n)
}

// load matches packets of the family and puts the parts side by side from the first register on.
func load(f family, parts ...part) rule {
	r := rule{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{f.nfproto}},
	}
	next := 0
	for _, p := range parts {
		e, length := p(f, register(next))
		r, next = append(r, e), next+length
	}
	return r
}

func payload(base expr.PayloadBase, offset, length, register uint32) expr.Any {
	return &expr.Payload{OperationType: expr.PayloadLoad, Base: base, Offset: offset, Len: length, DestRegister: register}
}

// in matches packets whose loaded key is in a set, out those whose is not.
func in(set string) expr.Any { return &expr.Lookup{SetName: set, SourceRegister: register(0)} }
func out(set string) expr.Any {
	return &expr.Lookup{SetName: set, SourceRegister: register(0), Invert: true}
}

// mapped replaces the loaded key by its value in a map; packets without one do not match.
func mapped(set string) expr.Any {
	return &expr.Lookup{SetName: set, SourceRegister: register(0), DestRegister: register(0), IsDestRegSet: true}
}

func drop() expr.Any { return &expr.Verdict{Kind: expr.VerdictDrop} }

func accept() expr.Any { return &expr.Verdict{Kind: expr.VerdictAccept} }

// setMark gives the packet the mark that was loaded.
func setMark() expr.Any {
	return &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register(0)}
}

// protocol matches an IP protocol.
func protocol(number byte) rule {
	return rule{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{number}},
	}
}

// flags matches TCP packets by their flags SYN and ACK.
func flags(op expr.CmpOp, value byte) rule {
	return append(protocol(unix.IPPROTO_TCP),
		payload(expr.PayloadBaseTransportHeader, offsetFlags, 1, register(0)),
		&expr.Bitwise{SourceRegister: register(0), DestRegister: register(0), Len: 1, Mask: []byte{flagSYN | flagACK}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: register(0), Data: []byte{value}})
}

// exemptPeers ends the chain for frames of other directors.
func exemptPeers() rule {
	mac, _ := macPart(family{}, register(0))
	return append(fromEthernet(), mac, in(setPeers), accept())
}

// fromEthernet matches packets that came in a frame with MAC addresses.
func fromEthernet() rule { return arrived(arphrdEther) }

// arrived matches packets that came through an interface of a type.
func arrived(kind uint16) rule {
	return rule{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: register(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: binary.NativeEndian.AppendUint16(nil, kind)},
	}
}

// each makes rules for both families from what follows the loading of the parts.
func each(parts []part, sets []string, rest func(f family, set string) rule) []rule {
	var rules []rule
	for _, f := range families() {
		for _, set := range sets {
			rules = append(rules, append(load(f, parts...), rest(f, set+f.suffix)...))
		}
	}
	return rules
}

var serviceSets = []string{setServices, setRanges}

// untrackRules are for packets of clients, whoever has sent them on, and for those of a server on
// this host itself to clients.
func untrackRules(parts []part) []rule {
	return each(parts, []string{setUntracked, setUntrackedRanges}, func(_ family, set string) rule {
		return rule{in(set), &expr.Notrack{}}
	})
}

// throughRules note replies of servers that come here although the servers should send them to
// the clients themselves. Packets of this host's own have no Ethernet address.
func throughRules() []rule {
	return each(sourceParts(), []string{setUntracked, setUntrackedRanges}, func(f family, set string) rule {
		r := append(rule{in(set)}, fromEthernet()...)
		r = append(r, load(f, sourceAddress(), macPart, destinationAddress())[2:]...)
		return append(r, note(setThrough+f.suffix))
	})
}

// note adds the loaded key to a set that Seen reads.
func note(set string) expr.Any {
	return &expr.Dynset{SrcRegKey: register(0), SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: seenLife}
}

// unmarkedRules note where packets go that have no mark of a service by now although they are for
// an address that has services; which of their ports should have one, the reader knows. Of TCP,
// IPVS goes by the mark of first packets alone.
func unmarkedRules() []rule {
	mark, _ := markPart(family{}, register(0))
	rules := []rule{
		exemptPeers(), append(flags(expr.CmpOpNeq, flagSYN), accept()), {mark, in(setMarks), accept()},
		append(protocol(unix.IPPROTO_ICMP), accept()), append(protocol(unix.IPPROTO_ICMPV6), accept()),
	}
	return append(rules, each([]part{destinationAddress()}, []string{setBalanced}, func(f family, set string) rule {
		return append(append(rule{in(set)}, load(f, destinationParts()...)[2:]...), note(setUnmarked+f.suffix))
	})...)
}

func markRules() []rule {
	return append([]rule{exemptPeers()}, each(destinationParts(), serviceSets, func(_ family, set string) rule {
		return rule{mapped(set), setMark(), accept()}
	})...)
}

// resetRules end connections. The first packet that the client sends, and after toldLife the next, is
// made a reset and goes on to the server; the others are answered with a reset.
func resetRules() []rule {
	rules := each(flowParts(), []string{setResets}, func(f family, set string) rule {
		told := setTold + f.suffix
		return append(rule{in(set), out(told), &expr.Dynset{
			SrcRegKey: register(0), SetName: told, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: toldLife,
		}}, append(makeReset(), accept())...)
	})
	rules = append(rules, each(flowParts(), []string{setResets}, func(_ family, set string) rule {
		return rule{in(set), &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
	})...)
	for i := range rules {
		rules[i] = append(established(), rules[i]...)
	}
	return rules
}

// established matches TCP packets but those that begin a connection, which may have the ports of the
// one that is over, and resets.
func established() rule {
	return append(protocol(unix.IPPROTO_TCP),
		payload(expr.PayloadBaseTransportHeader, offsetFlags, 1, register(0)),
		&expr.Bitwise{SourceRegister: register(0), DestRegister: register(0), Len: 1, Mask: []byte{flagSYN | flagRST}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{0}})
}

// makeReset turns a TCP packet into a reset. Its sequence number is what the other end awaits next,
// unless packets were lost, as it must be (RFC 5961 section 3.2).
func makeReset() rule {
	const even = offsetFlags - 1 // checksums are of two bytes
	return rule{
		payload(expr.PayloadBaseTransportHeader, even, 2, register(0)),
		&expr.Bitwise{SourceRegister: register(0), DestRegister: register(0), Len: 2, Mask: []byte{0xff, 0}, Xor: []byte{0, flagRST | flagACK}},
		&expr.Payload{
			OperationType: expr.PayloadWrite, Base: expr.PayloadBaseTransportHeader, Offset: even, Len: 2,
			SourceRegister: register(0), CsumType: expr.CsumTypeInet, CsumOffset: offsetChecksum,
		},
	}
}

// masqueradeRules spare packets that IPVS sends on unchanged, of which a service has some whose
// fallback server has another way of forwarding: they still go to the virtual address.
func masqueradeRules() []rule {
	return each([]part{markPart}, []string{setMasquerade}, func(f family, set string) rule {
		address, _ := destinationAddress()(f, register(0))
		return rule{in(set), address, out(setVirtual + f.suffix), &expr.Counter{}, &expr.Masq{}}
	})
}

// redirectRules keep this host from sending ICMP redirects (RFC 792; RFC 4861 section 4.5) to servers
// that have it as gateway: where clients are reached over the servers' own network, the kernel would
// show the servers a way past it, and their replies would carry their own address. IPv6 has no other
// switch for that.
func redirectRules() []rule {
	var rules []rule
	for _, f := range families() {
		number, kind := byte(unix.IPPROTO_ICMP), byte(icmpRedirect)
		if f.suffix == inet6.suffix {
			number, kind = unix.IPPROTO_ICMPV6, icmpv6Redirect
		}
		r := append(protocol(number),
			payload(expr.PayloadBaseTransportHeader, offsetType, 1, register(0)),
			&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{kind}})
		rules = append(rules, append(append(r, load(f, destinationAddress())...), in(setBehind+f.suffix), &expr.Counter{}, drop()))
	}
	return rules
}

func clampRules(f family, size uint16) []rule {
	r := append(flags(expr.CmpOpEq, flagSYN|flagACK), load(f, sourceAddress())...)
	return []rule{append(r, in(setClamp+f.suffix),
		&expr.Immediate{Register: register(0), Data: binary.BigEndian.AppendUint16(nil, size)},
		&expr.Exthdr{SourceRegister: register(0), Type: optionMSS, Offset: offsetMSS, Len: 2, Op: expr.ExthdrOpTcpopt})}
}
