package nft

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ownSourceRules drop TCP packets from the network that claim to come from an address of this host:
// answers to what this host asked a server in the address's name (package preflight). The kernel drops
// them for IPv4 unless accept_local is set; for IPv6 it would answer with a reset to itself.
func ownSourceRules() []rule {
	return each([]part{sourceAddress()}, []string{setGuarded}, func(_ family, set string) rule {
		return append(append(rule{in(set)}, fromEthernet()...), append(protocol(unix.IPPROTO_TCP), drop())...)
	})
}

// guardRules let through what this host says to itself, what is not for a guarded address, ICMP, later fragments,
// declared destinations, answers to datagrams of this host, and connections of TCP.
func (s Shape) guardRules() []rule {
	rules := []rule{append(arrived(arphrdLoopback), accept())}
	rules = append(rules, each([]part{destinationAddress()}, []string{setGuarded}, func(_ family, set string) rule {
		return rule{out(set), accept()}
	})...)
	rules = append(rules,
		append(protocol(unix.IPPROTO_ICMP), accept()),
		append(protocol(unix.IPPROTO_ICMPV6), accept()),
		append(laterFragment(), accept()))
	rules = append(rules, each(destinationParts(), []string{setOpen, setOpenRanges}, func(_ family, set string) rule {
		return rule{in(set), accept()}
	})...)
	answers := each(flowParts(), []string{setAnswers}, func(_ family, set string) rule { return rule{in(set), accept()} })
	for _, answer := range answers {
		rules = append(rules, append(protocol(unix.IPPROTO_UDP), answer...))
	}
	return append(append(rules, s.connectionRules()...), rule{&expr.Counter{}, drop()})
}

// connectionRules let TCP packets through, but first ones, that belong to a connection of this host, or
// go where connections were taken until a while ago. A socket that only listens, and on all
// addresses, is no connection.
func (s Shape) connectionRules() []rule {
	if s.Lax {
		return []rule{append(flags(expr.CmpOpNeq, flagSYN), accept())}
	}
	rules := each(destinationParts(), []string{setClosing, setClosingRanges}, func(_ family, set string) rule {
		return rule{in(set), accept()}
	})
	rules = append(rules,
		append(socket(expr.SocketKeyWildcard, 1), &expr.Counter{}, drop()),
		append(socket(expr.SocketKeyTransparent, 0), accept()),
		append(socket(expr.SocketKeyTransparent, 1), accept()))
	for i := range rules {
		rules[i] = append(flags(expr.CmpOpNeq, flagSYN), rules[i]...)
	}
	return rules
}

// socket matches packets for which this host has a TCP socket with such a property.
func socket(property expr.SocketKey, value byte) rule {
	return rule{
		&expr.Socket{Key: property, Register: register(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{value}},
	}
}

// askRules note which answers datagrams from guarded addresses call for; what a declared port
// sends is an answer itself.
func askRules() []rule {
	rules := []rule{{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register(0), Data: []byte{unix.IPPROTO_UDP}},
		accept(),
	}}
	rules = append(rules, each(sourceParts(), []string{setOpen, setOpenRanges}, func(_ family, set string) rule {
		return rule{in(set), accept()}
	})...)
	for _, f := range families() {
		r := append(load(f, sourceAddress()), in(setGuarded+f.suffix))
		r = append(r, load(f, answerParts()...)[2:]...)
		rules = append(rules, append(r, &expr.Dynset{
			SrcRegKey: register(0), SetName: setAnswers + f.suffix, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: answerLife,
		}))
	}
	return rules
}

// laterFragment matches fragments of IPv6 but first ones (RFC 8200 section 4.5), which the hook
// may see before they are joined. Without a first one, which has the port, they come to nothing.
func laterFragment() rule {
	return append(load(inet6),
		&expr.Exthdr{DestRegister: register(0), Type: unix.IPPROTO_FRAGMENT, Offset: offsetFragment, Len: 2, Op: expr.ExthdrOpIpv6},
		&expr.Bitwise{SourceRegister: register(0), DestRegister: register(0), Len: 2, Mask: []byte{0xff, 0xf8}, Xor: []byte{0, 0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register(0), Data: []byte{0, 0}})
}
