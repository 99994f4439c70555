package l7

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// load is a load that is filling an order.
type load struct {
	*peers.Process
	t       *testing.T
	goOn    io.WriteCloser
	reports *json.Decoder
}

// begin starts a load on a host.
func (w *world) begin(t *testing.T, on *netnstest.Far, order traffic.Order) *load {
	t.Helper()
	text, err := json.Marshal(order)
	suite.Must(t, err)
	cmd := exec.Command(w.ends, "load", string(text))
	in, goOn, err := os.Pipe()
	suite.Must(t, err)
	reports, out, err := os.Pipe()
	suite.Must(t, err)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	l := &load{t: t, goOn: goOn, reports: json.NewDecoder(reports)}
	l.Process = peers.Launch(t, peers.Far(on), cmd)
	in.Close()
	out.Close()
	t.Cleanup(func() {
		goOn.Close()
		reports.Close()
	})
	return l
}

// next waits for a report; what went wrong ends the test.
func (l *load) next() traffic.Report {
	l.t.Helper()
	var r traffic.Report
	err := l.reports.Decode(&r)
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		l.t.Fatalf("load: %v", err)
	}
	return r
}

// tell has it go on.
func (l *load) tell() {
	l.t.Helper()
	_, err := io.WriteString(l.goOn, "\n")
	suite.Must(l.t, err)
}

// end waits until it has ended as it should.
func (l *load) end() traffic.Report {
	l.t.Helper()
	l.tell()
	last := l.next()
	suite.Must(l.t, l.Wait())
	l.Stop()
	return last
}

// settle is how long a front may take to finish what belongs to the last exchanges; ours writes its log 50 ms late.
const settle = 100 * time.Millisecond

// used reads what a program has used.
func used(t *testing.T, p *peers.Process) peers.Usage {
	t.Helper()
	u, err := p.Usage()
	suite.Must(t, err)
	return u
}

// sample has a front fill an order, and returns what that cost.
func (f *front) sample(t *testing.T, order traffic.Order, p path) (Sample, traffic.Report) {
	t.Helper()
	l := f.world.begin(t, f.from(p), order)
	l.next()
	time.Sleep(settle)
	before, loadBefore := used(t, f.Process), used(t, l.Process)
	l.tell()
	r := l.next()
	time.Sleep(settle)
	after, loadAfter := used(t, f.Process), used(t, l.Process)
	l.end()
	if len(after.Processes) != len(before.Processes) {
		t.Fatalf("%s: the processes were %v and are %v", f.name, before.Processes, after.Processes)
	}
	return Sample{
		Front: f.name, Exchanges: r.Exchanges, Bytes: r.Bytes, Took: r.Took,
		Processor: after.Processor() - before.Processor(), Load: loadAfter.Processor() - loadBefore.Processor(),
	}, r
}
