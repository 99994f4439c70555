package nft

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

// withClosing returns the wanted elements and those of destinations that are about to close: what was
// open to TCP and is no more, and what was closing before and has not been opened again. Elements that
// are there already stay, so that their time goes on.
func (w *want) withClosing(there []Element) map[string]Element {
	if !w.shape.Guard || w.shape.Lax {
		return w.elements
	}
	closing := ports{}
	for _, e := range there {
		d, r, known := e.closes()
		if _, open := w.elements[e.as(setOpen).id()]; known && !open {
			closing[d] = append(closing[d], r)
		}
	}
	if len(closing) == 0 {
		return w.elements
	}
	closing.merge(nil)
	all := maps.Clone(w.elements)
	for _, e := range closing.elements(setClosing, setClosingRanges, "") {
		e.Timeout = closingLife
		all[e.id()] = e
	}
	return all
}

// closes tells which destination of TCP an element opens or keeps closing.
func (e Element) closes() (d destination, r model.PortRange, known bool) {
	name, isOpen := strings.CutPrefix(e.Set, setOpen)
	if !isOpen {
		if name, known = strings.CutPrefix(e.Set, setClosing); !known {
			return d, r, false
		}
	}
	length := len(e.Key) - 8
	address, known := netip.AddrFromSlice([]byte(e.Key[:max(length, 0)]))
	if !known || e.Key[length] != unix.IPPROTO_TCP {
		return d, r, false
	}
	port := func(key string) uint16 { return binary.BigEndian.Uint16([]byte(key[length+4:])) }
	r.First = port(e.Key)
	r.Last = r.First
	if strings.HasPrefix(name, "ranges") {
		r.Last = port(e.End)
	}
	return destination{address, e.Key[length]}, r, true
}

// as is the element in the sets of another name, without value or end of its life.
func (e Element) as(name string) Element {
	_, rest, _ := strings.Cut(strings.Replace(e.Set, setClosing, setOpen, 1), setOpen)
	return Element{Set: name + rest, Key: e.Key, End: e.End}
}

// closable are the elements that have to do with closing.
func closable(all []Element) []Element {
	var some []Element
	for _, e := range all {
		if _, _, known := e.closes(); known {
			some = append(some, e)
		}
	}
	return some
}
