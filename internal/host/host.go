package host

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/metrics"
	"github.com/truepacs/balancer/internal/node"
	"github.com/truepacs/balancer/internal/schema"
	"github.com/truepacs/balancer/internal/translate"
	"github.com/truepacs/balancer/internal/turns"
	"github.com/truepacs/balancer/internal/wiring"
)

const (
	// look is how often the folder is looked at for changes: a person who waits for one does not notice it, and names and
	// times of a few files cost little.
	look = 100 * time.Millisecond
	// refresh is how often the host's network is read again without a change of files.
	refresh = 30 * time.Second
)

// Options say how a plain host runs.
type Options struct {
	Log logr.Logger
	// LogFlags are the flags that make the proxy write its log the same way.
	LogFlags []string
	// Dir is the folder (or one file) with the manifests.
	Dir string
	// Node is this host's name, as spec.directors.peers calls it.
	Node string
	// RunDir, StateDir and SysctlDir are as in wiring.Options.
	RunDir, StateDir, SysctlDir string
	// ChecksDir is the directory of check programs; empty: they are off.
	ChecksDir string
	// Version is this program's.
	Version string
	// MetricsAddress is where metrics are served; empty or 0: nowhere.
	MetricsAddress string
}

// Host is a plain host under management. Make it with New.
type Host struct {
	options Options
	log     logr.Logger
	reader  *manifest.Reader
	wiring  *wiring.Host
	node    *node.Node
	done    context.CancelFunc

	mu       sync.Mutex
	set      manifest.Set
	problems []manifest.Problem
	released bool
}

// New makes a Host; nothing is touched before Run.
func New(o Options) (*Host, error) {
	validator, err := schema.New()
	if err != nil {
		return nil, err
	}
	h := &Host{options: o, log: o.Log, reader: manifest.NewReader(validator)}
	marks := translate.DefaultMarks()
	h.wiring, err = wiring.New(wiring.Options{
		Log: o.Log, RunDir: o.RunDir, StateDir: o.StateDir, SysctlDir: o.SysctlDir, Marks: marks, ChecksDir: o.ChecksDir,
	})
	if err != nil {
		return nil, err
	}
	h.node = node.New(node.Config{
		Log: o.Log, Name: o.Node, Mode: translate.Host, Marks: marks,
		Network: h.wiring.Network, Agent: h.wiring.Agent,
	})
	return h, nil
}

// Run manages the host until ctx ends or it is released. What is programmed stays when ctx ends.
func (h *Host) Run(ctx context.Context) error {
	ctx, h.done = context.WithCancel(ctx)
	defer h.done()
	unlock, err := h.wiring.Lock(ctx, func() { h.log.Info("another truepacs acts on this host, this one stands by") })
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer unlock()
	h.restore()
	h.read(ctx)
	var wg sync.WaitGroup
	var adminErr error
	wg.Go(func() { h.watch(ctx) })
	wg.Go(func() { h.proxyProcess().run(ctx) })
	wg.Go(func() {
		metrics.Run(ctx, h.log, h.options.MetricsAddress, h.wiring.Inspect(), metrics.NewCertificates(h.node.Certificates))
	})
	wg.Go(func() {
		if adminErr = h.serveAdmin(ctx); adminErr != nil {
			h.done()
		}
	})
	err = h.wiring.Run(ctx)
	h.done()
	wg.Wait()
	return errors.Join(err, adminErr)
}

func (h *Host) proxyProcess() *child {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	return &child{
		log:       h.log,
		argv:      append([]string{program, "proxy", "--run-dir", h.options.RunDir, "--exit-when-replaced"}, h.options.LogFlags...),
		version:   h.options.Version,
		lives:     func() (bool, error) { return turns.ProxyLives(h.options.RunDir) },
		connected: func() string { return h.wiring.Keeper.State().Version },
		needed:    func() bool { return len(h.wiring.Agent.Observed().Node.Proxy.Listeners) > 0 },
	}
}

// restore starts from what is on disk, before a file is read.
func (h *Host) restore() {
	memory, err := h.node.Restore()
	if err != nil {
		h.log.Info("nothing to start from", "cause", err.Error())
		if !errors.Is(err, agent.ErrNoState) {
			h.log.Error(err, "the state cannot be used")
		}
		return
	}
	h.set = remembered(memory)
	h.log.Info("started from the saved state", "balancers", len(memory.Balancers))
}

// remembered is the set of manifests as it was when it was last saved, without Secrets.
func remembered(m node.Memory) manifest.Set {
	set := manifest.Set{
		Balancers: m.Balancers,
		Secrets:   map[types.NamespacedName]manifest.Secret{},
		Files:     map[manifest.Object]string{},
	}
	files := map[string]string{}
	_ = json.Unmarshal([]byte(m.Origin), &files) // of another version: files are unknown
	for _, b := range m.Balancers {
		name := types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
		set.Files[manifest.Object{Kind: manifest.KindBalancer, NamespacedName: name}] = files[name.String()]
	}
	return set
}

// watch reads the manifests when they change.
func (h *Host) watch(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	last, _ := fingerprint(h.options.Dir)
	read := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := fingerprint(h.options.Dir)
		if err == nil && now == last && time.Since(read) < refresh {
			continue
		}
		last, read = now, time.Now()
		h.read(ctx)
	}
}

// read reads the manifests and hands on what is good; what turned bad goes on as it was.
func (h *Host) read(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	next, problems := h.reader.ReadPath(h.options.Dir)
	h.tell(problems)
	next = manifest.Keep(h.set, next, problems)
	rank(h.set.Balancers, next.Balancers)
	h.set, h.problems = next, problems
	u := node.Update{Balancers: h.set.Balancers, Secrets: secrets(h.set), Origin: origin(h.set)}
	if err := h.node.Update(ctx, u); err != nil {
		h.log.Error(err, "the manifests are not carried out in full")
	}
}

// tell logs problems that are new.
func (h *Host) tell(problems []manifest.Problem) {
	known := map[string]bool{}
	for _, p := range h.problems {
		known[p.Error()] = true
	}
	for _, p := range problems {
		if !known[p.Error()] {
			h.log.Info("refused: " + p.Error())
		}
	}
}

func secrets(set manifest.Set) map[types.NamespacedName]translate.Secret {
	out := map[types.NamespacedName]translate.Secret{}
	for name, s := range set.Secrets {
		out[name] = translate.Secret{Found: true, CertPEM: s.CertPEM, KeyPEM: s.KeyPEM, Data: s.Data}
	}
	// On a plain host every file has been read: a Secret that is not there does not exist.
	for _, b := range set.Balancers {
		for _, name := range translate.SecretRefs(b) {
			if _, there := out[name]; !there {
				out[name] = translate.Secret{}
			}
		}
	}
	return out
}

func origin(set manifest.Set) string {
	files := map[string]string{}
	for object, file := range set.Files {
		if object.Kind == manifest.KindBalancer {
			files[object.NamespacedName.String()] = file
		}
	}
	text, err := json.Marshal(files)
	if err != nil {
		return ""
	}
	return string(text)
}
