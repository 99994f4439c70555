package l7

import (
	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// tunnel carries bytes between two streams, both ways, until both directions have ended or one has failed. The end of
// one direction is passed on and leaves the other open.
type tunnel struct {
	up, down *flow // to the server, to the client
	shutUp   bool  // the end of a direction was passed on
	shutDown bool
}

// run carries what can be carried; done says that it is over, code how: unless it is Normal, both ends should see an error.
func (t *tunnel) run(c *client, late bool) (done bool, code relay.Reason) {
	if late {
		return true, t.late()
	}
	if err := t.carry(c, t.up, &t.shutUp); err != nil {
		if !isSource(err) {
			_ = t.down.pump(c) // what the server said before it broke off should arrive
		}
		return true, broke(isSource(err))
	}
	if err := t.carry(c, t.down, &t.shutDown); err != nil {
		return true, broke(!isSource(err))
	}
	return t.shutUp && t.shutDown, relay.Normal
}

// carry moves one direction and passes its end on.
func (t *tunnel) carry(c *client, f *flow, shut *bool) error {
	if err := f.pump(c); err != nil || !f.over {
		return err
	}
	if *shut {
		return nil
	}
	if err := f.to.closeWrite(); err != nil {
		return &sinkError{err}
	}
	if err := f.to.flush(); err == stream.ErrAgain {
		return nil
	}
	*shut = true
	if t.shutUp != t.shutDown {
		c.phase(c.w.engine.cfg.Timeouts.HalfClosed)
	}
	return nil
}

func broke(byClient bool) relay.Reason {
	if byClient {
		return relay.ClientData
	}
	return relay.ServerData
}

// late says for whom the tunnel waited in vain.
func (t *tunnel) late() relay.Reason {
	if t.down.holds() || t.shutDown {
		return relay.ClientTimeout
	}
	return relay.ServerTimeout
}
