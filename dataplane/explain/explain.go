package explain

import (
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
)

// Facts are what is to be known about a host for an answer.
type Facts struct {
	// Node is what the host does.
	Node *model.Node
	// Refused are why services are not programmed as they are wanted, by key.
	Refused map[string]string
	// Verdicts are the checks' verdicts by target key.
	Verdicts map[string]model.Verdict
	// Held are the connections and templates that may concern the client; others do no harm.
	Held []ipvs.Connection
	// Scheduling is the service of the kernel; nil: it is not there.
	Scheduling *ipvs.Scheduling
}

// Decide answers a question about what Locate has found.
func Decide(q Question, p Place, f Facts) Answer {
	a := Answer{Question: q, Why: []string{}}
	switch {
	case p.Service != nil:
		a.layer4(p.Service, &f)
	case p.Listener != nil:
		a.layer7(p.Listener, &f)
	default:
		a.nobody(p)
	}
	return a
}

// Concerns tells whether a connection or template may decide over a client: it has the client's own
// address and port, or with persistence is of the network that makes it a client.
func Concerns(q Question, p *model.Persistence, c *ipvs.Connection) bool {
	if !c.Template {
		return c.Client == q.Client && c.Virtual == q.To
	}
	if p == nil {
		return false
	}
	network, err := q.Client.Addr().Prefix(p.PrefixLength)
	return err == nil && c.Client.Addr() == network.Addr()
}
