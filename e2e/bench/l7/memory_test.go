package l7

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// idleness is a kind of connections that are used once and then idle.
type idleness struct {
	name     string
	protocol traffic.Protocol
	listener listener
	// wait is how long they are idle before memory is read; all are used once more before the last step, so that
	// none is closed for having been idle (60 s by HTTP).
	wait time.Duration
	// most bytes and descriptors that one may take; 0: as many as with HAProxy.
	most, descriptors float64
}

// TestMemory compares what idle connections take: from one number of them to another, each used once.
func TestMemory(t *testing.T) {
	_, length := plan(t)
	w := newWorld(t)
	for _, i := range []idleness{
		{"memory-tcp", traffic.TCP, stream, time.Minute, 2500, 2},
		{"memory-https", traffic.HTTPS, secure, 30 * time.Second, 0, 0},
	} {
		if !wanted(t, i.name) {
			continue
		}
		t.Run(i.name, func(t *testing.T) {
			steps := []int{500, 4500}
			if length == 0 {
				steps, i.wait = []int{20, 60}, 200*time.Millisecond
			}
			i.run(t, w, steps, length > 0)
		})
	}
}

// growth is what a connection takes.
type growth struct{ bytes, descriptors float64 }

func (i idleness) run(t *testing.T, w *world, steps []int, judged bool) {
	variants := []variant{truepacs, haproxy, nginx}
	fronts, loads := make([]*front, len(variants)), make([]*load, len(variants))
	for n, v := range variants {
		fronts[n] = w.front(t, v)
		order := traffic.Order{Protocol: i.protocol, Form: traffic.Held, Steps: steps}
		loads[n] = w.begin(t, w.load, fronts[n].aim(order, i.listener, veth))
	}
	var readings [][]peers.Usage // by step and front
	for step, connections := range steps {
		for _, l := range loads {
			if step > 0 {
				l.tell()
			}
			if r := l.next(); r.Exchanges != connections {
				t.Fatalf("%d connections are held, not %d", r.Exchanges, connections)
			}
		}
		time.Sleep(i.wait)
		var now []peers.Usage
		for _, f := range fronts {
			now = append(now, used(t, f.Process))
		}
		readings = append(readings, now)
	}
	all, found := steps[1]-steps[0], map[string]growth{}
	for n, l := range loads {
		l.end() // each has used all once more: none was closed
		before, after := readings[0][n], readings[1][n]
		g := growth{float64(after.Resident-before.Resident) / float64(all), float64(after.Descriptors-before.Descriptors) / float64(all)}
		found[variants[n].name] = g
		t.Logf("%s: %.0f bytes and %.2f descriptors for each connection, %d KiB with %d of them", variants[n].name, g.bytes, g.descriptors, after.Resident>>10, steps[1])
	}
	if judged {
		i.judge(t, found)
		return
	}
	suite.Verdict(t, "%s: %d fronts held %d connections, each was used again in the end", t.Name(), len(variants), steps[1])
}

func (i idleness) judge(t *testing.T, found map[string]growth) {
	t.Helper()
	ours, theirs := found[truepacs.name], found[haproxy.name]
	most := i.most
	if most == 0 {
		most = theirs.bytes
	}
	if !(ours.bytes <= most) {
		t.Errorf("%.0f bytes for each idle connection, at most %.0f are wanted", ours.bytes, most)
	}
	descriptors := fmt.Sprintf("%.2f descriptors", ours.descriptors)
	if i.descriptors > 0 {
		descriptors += fmt.Sprintf(", at most %.0f", i.descriptors)
		if math.Round(100*ours.descriptors) > 100*i.descriptors {
			t.Error(descriptors)
		}
	}
	suite.Verdict(t, "%s: an idle connection takes %.0f bytes, at most %.0f (HAProxy %.0f), and %s", t.Name(), ours.bytes, most, theirs.bytes, descriptors)
}

// TestStalledReader has a client ask for much and read nothing: the front must not read it either.
func TestStalledReader(t *testing.T) {
	if !wanted(t, "stalled") {
		return
	}
	_, length := plan(t)
	size, wait, most := int64(1<<30), 5*time.Second, int64(1<<20)
	if length == 0 {
		size, wait = 64<<20, 300*time.Millisecond
	}
	w := newWorld(t)
	for _, v := range []variant{truepacs, haproxy, nginx} {
		f := w.front(t, v)
		for _, way := range []struct {
			protocol traffic.Protocol
			listener listener
		}{{traffic.TCP, stream}, {traffic.HTTP, web}, {traffic.HTTPS, secure}} {
			t.Run(fmt.Sprintf("%s/%s", v.name, way.protocol), func(t *testing.T) {
				l := w.begin(t, w.load, f.aim(traffic.Order{Protocol: way.protocol, Form: traffic.Stalled, Size: size}, way.listener, veth))
				l.next()
				time.Sleep(wait)
				before := used(t, f.Process)
				l.tell()
				l.next()
				time.Sleep(wait)
				grown := used(t, f.Process).Resident - before.Resident
				if r := l.end(); r.Bytes != size {
					t.Errorf("%d bytes of %d were read in the end", r.Bytes, size)
				}
				if v == truepacs && length > 0 && grown >= most {
					t.Errorf("memory has grown by %d KiB, less than %d are wanted", grown>>10, most>>10)
				}
				suite.Verdict(t, "%s: %d MiB for a reader that stalled for %s cost %d KiB; then it read all of them", t.Name(), size>>20, wait, grown>>10)
			})
		}
	}
}
