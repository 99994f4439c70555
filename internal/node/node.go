package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/metrics"
	"github.com/truepacs/balancer/internal/report"
	"github.com/truepacs/balancer/internal/translate"
)

// Network is what translation needs to know of the host's network.
type Network struct {
	Interfaces []translate.Interface
	Gateways   []netip.Addr
}

// Config configures a Node.
type Config struct {
	Log logr.Logger
	// Name is the node's name.
	Name string
	// Mode says how directors are chosen.
	Mode translate.Mode
	// Marks is the range of firewall marks.
	Marks translate.MarkRange
	// APIServers are addresses that no virtual IP may take.
	APIServers []netip.Addr
	// Network reads the host's network.
	Network func(context.Context) (Network, error)
	// Agent does what translation says.
	Agent *agent.Agent
}

// Node joins translation, agent and reports. Its methods may be called from several goroutines.
type Node struct {
	cfg Config

	mu       sync.Mutex
	kept     map[string]translate.Kept
	results  map[types.NamespacedName]translate.BalancerResult
	revision uint64
	reports  map[types.NamespacedName]v1alpha1.TruePACSReportStatus
}

// New makes a Node.
func New(cfg Config) *Node {
	return &Node{cfg: cfg, reports: map[types.NamespacedName]v1alpha1.TruePACSReportStatus{}}
}

// Memory is what a Node remembers across restarts, beside the model.
type Memory struct {
	// Balancers are those that were last accepted, without status.
	Balancers []*v1alpha1.TruePACSBalancer `json:"balancers,omitempty"`
	// Kept is the last good state of each service, without private keys.
	Kept map[string]translate.Kept `json:"kept,omitempty"`
	// Origin identifies what the balancers came from; the caller's.
	Origin string `json:"origin,omitempty"`
}

// Restore makes the agent start from its saved state and returns what was remembered.
// agent.ErrNoState: there is nothing usable; nothing is touched until Update.
func (n *Node) Restore() (Memory, error) {
	var memory Memory
	saved, err := n.cfg.Agent.Restore()
	if err != nil {
		return memory, err
	}
	if err := json.Unmarshal(saved.Source, &memory); err != nil {
		return Memory{}, fmt.Errorf("state is damaged: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = withKeys(memory.Kept, saved.Node.Proxy.Listeners)
	return memory, nil
}

// Update is everything that a host is told.
type Update struct {
	Balancers []*v1alpha1.TruePACSBalancer
	// Nodes are all nodes of the cluster; empty on a plain host.
	Nodes   []translate.NodeInfo
	Secrets map[types.NamespacedName]translate.Secret
	// Endpoints are those of the Services that the balancers name, see translate.ServiceRefs;
	// none on a plain host.
	Endpoints map[types.NamespacedName][]translate.ServiceEndpoint
	// Origin is remembered with the balancers.
	Origin string
}

// Update translates and hands the result to the agent.
func (n *Node) Update(ctx context.Context, u Update) error {
	network, err := n.cfg.Network(ctx)
	if err != nil {
		return fmt.Errorf("read the host's network: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	result := n.translate(u, network)
	memory := Memory{Balancers: bare(u.Balancers), Kept: withoutKeys(result.Kept), Origin: u.Origin}
	source, err := json.Marshal(memory)
	if err != nil {
		return fmt.Errorf("encode what is remembered: %w", err)
	}
	n.kept, n.results = result.Kept, result.Balancers
	return n.desire(result.Node, source)
}

// Release makes the agent give everything back; the next Update takes it again.
func (n *Node) Release() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept, n.results = nil, nil
	return n.desire(model.Node{}, []byte("{}"))
}

func (n *Node) desire(want model.Node, source []byte) (err error) {
	n.revision, err = n.cfg.Agent.SetDesired(want, source)
	if err != nil {
		return fmt.Errorf("the change is carried out but would not survive a restart: %w", err)
	}
	return nil
}

func (n *Node) translate(u Update, network Network) translate.Result {
	return translate.Translate(translate.Input{
		Node: translate.Node{
			Name: n.cfg.Name, Mode: n.cfg.Mode, Interfaces: network.Interfaces, Gateways: network.Gateways,
		},
		Nodes: u.Nodes, APIServers: n.cfg.APIServers, Balancers: u.Balancers, Secrets: u.Secrets, Endpoints: u.Endpoints,
		Previous: n.kept, Marks: n.cfg.Marks, Now: time.Now(),
	})
}

// bare returns copies without status and bookkeeping, which nobody needs after a restart.
func bare(balancers []*v1alpha1.TruePACSBalancer) []*v1alpha1.TruePACSBalancer {
	out := make([]*v1alpha1.TruePACSBalancer, 0, len(balancers))
	for _, b := range balancers {
		c := b.DeepCopy()
		c.Status, c.ManagedFields = v1alpha1.TruePACSBalancerStatus{}, nil
		c.Annotations, c.ResourceVersion = nil, ""
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *v1alpha1.TruePACSBalancer) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	return out
}

// withKeys gives the last good states the private keys of the listeners that are served again.
func withKeys(kept map[string]translate.Kept, listeners []model.Listener) map[string]translate.Kept {
	out := make(map[string]translate.Kept, len(kept))
	for key, k := range kept {
		out[key] = k.WithKeys(listeners)
	}
	return out
}

func withoutKeys(kept map[string]translate.Kept) map[string]translate.Kept {
	out := make(map[string]translate.Kept, len(kept))
	for key, k := range kept {
		out[key] = k.WithoutKeys()
	}
	return out
}

// Report is what this host says about one balancer.
type Report struct {
	// Active says that this host is the balancer's director: others do not report.
	Active bool
	// Director is the node that is to hold the addresses; empty: not exactly one matches.
	Director string
	Status   v1alpha1.TruePACSReportStatus
}

// Reports returns what this host says about every balancer of the last Update.
func (n *Node) Reports() map[types.NamespacedName]Report {
	observed := n.cfg.Agent.Observed()
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[types.NamespacedName]Report, len(n.results))
	for name, result := range n.results {
		status := report.Build(report.Input{
			Balancer: name.Name, Node: n.cfg.Name, Result: result, Observed: observed,
			Revision: n.revision, Previous: n.reports[name], Now: time.Now(),
		})
		n.reports[name] = status
		out[name] = Report{Active: result.Active, Director: result.Director, Status: status}
	}
	maps.DeleteFunc(n.reports, func(name types.NamespacedName, _ v1alpha1.TruePACSReportStatus) bool {
		_, there := out[name]
		return !there
	})
	return out
}

// Certificates are those that this host has in use, as metrics show them.
func (n *Node) Certificates() (out []metrics.Certificate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, result := range n.results {
		for _, s := range result.Services {
			if len(s.Certificates) > 0 {
				out = append(out, metrics.Certificate{Balancer: name.String(), Service: s.Name, Elements: s.Certificates, Refused: s.RefusedSecrets})
			}
		}
	}
	return out
}

// Role says what the host does.
func (n *Node) Role() v1alpha1.NodeRole {
	node := n.cfg.Agent.Observed().Node
	switch {
	case len(node.VirtualIPs) > 0:
		return v1alpha1.NodeRoleDirector
	case len(node.RealServer) > 0:
		return v1alpha1.NodeRoleRealServer
	default:
		return v1alpha1.NodeRoleIdle
	}
}

// Empty tells whether the agent has carried out that the host holds nothing.
func (n *Node) Empty() bool {
	observed := n.cfg.Agent.Observed()
	n.mu.Lock()
	defer n.mu.Unlock()
	return observed.Revision >= n.revision && observed.Node.Empty() &&
		observed.Failure == nil && len(observed.Refused) == 0
}
