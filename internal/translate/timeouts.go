package translate

import (
	"fmt"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of spec.directors.layer4Timeouts in seconds, as the API documents them.
const (
	defaultTCPSeconds    = 3600
	defaultTCPFinSeconds = 120
	defaultUDPSeconds    = 300
)

// timeout is one of the idle timeouts.
type timeout struct {
	field  string
	absent int32
	of     func(*v1alpha1.Layer4Timeouts) *int32
}

var timeouts = []timeout{
	{"tcpSeconds", defaultTCPSeconds, func(t *v1alpha1.Layer4Timeouts) *int32 { return t.TCPSeconds }},
	{"tcpFinSeconds", defaultTCPFinSeconds, func(t *v1alpha1.Layer4Timeouts) *int32 { return t.TCPFinSeconds }},
	{"udpSeconds", defaultUDPSeconds, func(t *v1alpha1.Layer4Timeouts) *int32 { return t.UDPSeconds }},
}

// asked is what a balancer asks for, and whether it says so itself.
func (t timeout) asked(b *balancer) (value int32, said bool) {
	d := b.obj.Spec.Directors
	if d == nil || d.Layer4Timeouts == nil || t.of(d.Layer4Timeouts) == nil {
		return t.absent, false
	}
	return *t.of(d.Layer4Timeouts), true
}

// settleTimeouts chooses the idle timeouts of the node: the largest that a balancer with layer 4
// services here asks for. Those that ask for less are told who asks for more.
func (r *run) settleTimeouts() model.IPVSTimeouts {
	var out [3]int32
	for i, t := range timeouts {
		var most *balancer
		for _, b := range r.balancers {
			if value, _ := t.asked(b); b.hasLayer4() && (most == nil || value > out[i]) {
				most, out[i] = b, value
			}
		}
		for _, b := range r.balancers {
			if value, said := t.asked(b); said && b.hasLayer4() && value < out[i] {
				b.advice = append(b.advice, fmt.Sprintf(
					"spec.directors.layer4Timeouts.%s is %d here and %d in force on node %s, because %s asks for that and a node has one set",
					t.field, value, out[i], r.in.Node.Name, most.name))
			}
		}
	}
	return model.IPVSTimeouts{TCP: seconds(out[0]), TCPFin: seconds(out[1]), UDP: seconds(out[2])}
}

// hasLayer4 tells whether this node runs a layer 4 service of the balancer.
func (b *balancer) hasLayer4() bool {
	for _, s := range b.services {
		if s.effective != nil && s.effective.Layer4 != nil && len(s.effective.Addresses) > 0 {
			return true
		}
	}
	return false
}
