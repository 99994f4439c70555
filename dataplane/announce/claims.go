package announce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/model"
)

// Times of claims.
const (
	// claimAgain is how long after an answer of another host it is asked again, claimJitter by how much
	// that varies: two directors that ask for one address at a time must not do so for ever (RFC 5227
	// section 2.1.1).
	claimAgain  = 3 * time.Second
	claimJitter = time.Second
	// claimFresh is how long an answer that nobody has the address is good for.
	claimFresh = 10 * time.Second
	// claimFailures is how many questions in a row may fail before the address is taken without an
	// answer: an interface that cannot ask is no reason to leave clients without service.
	claimFailures = 3
)

// claimsAtOnce bounds the open sockets.
const claimsAtOnce = 256

// ClaimsConfig is what Claims need.
type ClaimsConfig struct {
	// Prober asks; its Network is Sockets or, in tests, a Fake.
	Prober Prober
	// Log gets addresses that others have, and those that could not be asked for.
	Log logr.Logger
	// Wake is called when an answer is there; it must not block.
	Wake func()
}

// Claims find out, beside everything else, whether addresses are free before this host takes them.
// Create them with NewClaims and Close them.
type Claims struct {
	config ClaimsConfig
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	slots  chan struct{}
	asking sync.WaitGroup

	mu     sync.Mutex
	claims map[entryKey]*claim
	closed bool
}

// claim is an address that is wanted. Of asking, free, owner and at the lock is Claims.mu.
type claim struct {
	key    entryKey
	cancel context.CancelFunc
	asking bool
	free   bool
	owner  net.HardwareAddr // who has it, if it is not free; nil: not known yet
	at     time.Time        // of the last answer
}

// NewClaims returns claims that ask for nothing yet.
func NewClaims(config ClaimsConfig) *Claims {
	ctx, cancel := context.WithCancel(context.Background())
	return &Claims{config: config, ctx: ctx, cancel: cancel, slots: make(chan struct{}, claimsAtOnce), claims: map[entryKey]*claim{}}
}

// Ask takes all addresses that this host wants and does not hold, and returns at once. An address
// without an item error is free: nobody answered for it (Prober.Probe). ReasonPending: it is asked for
// now, Wake is called when the answer is there. ReasonAddressOwnedByOther: another host has it, the
// error has its MAC address; it is asked for again every few seconds until it is free. An address
// that a later call does not name is forgotten, so it is asked for anew the next time.
func (c *Claims) Ask(all []model.VirtualIP) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	next := make(map[entryKey]*claim, len(all))
	var network Network
	var errs []error
	for _, vip := range all {
		key := entryKey{vip.Address, vip.Interface}
		if next[key] = c.claims[key]; next[key] == nil {
			next[key] = &claim{key: key}
		}
		delete(c.claims, key)
		if next[key].due() {
			if network == nil {
				network = Once(c.config.Prober.Network)
			}
			c.start(next[key], network)
		}
		errs = append(errs, next[key].refusal(vip))
	}
	for _, forgotten := range c.claims {
		forgotten.stop()
	}
	c.claims = next
	return errors.Join(errs...)
}

// due tells whether the address has to be asked for, now that it is wanted.
func (c *claim) due() bool { return !c.asking && (!c.free || time.Since(c.at) > claimFresh) }

func (c *claim) stop() {
	if c.cancel != nil {
		c.cancel()
	}
}

// refusal says why the address is not to be taken; nil: it is.
func (c *claim) refusal(vip model.VirtualIP) error {
	switch {
	case c.free:
		return nil
	case c.owner == nil:
		return &model.ItemError{Key: vip.Key, Reason: ReasonPending, Err: fmt.Errorf(
			"it is asked on %s whether another host has %s; the answer is there within seconds", vip.Interface, vip.Address)}
	}
	return &model.ItemError{Key: vip.Key, Reason: ReasonAddressOwnedByOther, Err: fmt.Errorf(
		"another host (%s) has the address %s on %s, so this director does not take it: find the host by its MAC address in the switch's table and "+
			"take the address from it, or choose another virtual IP; the director asks again every few seconds and takes the address when it is free",
		c.owner, vip.Address, vip.Interface)}
}

// start asks until the address is free or no longer wanted; network is for the first time.
func (c *Claims) start(e *claim, network Network) {
	ctx, cancel := context.WithCancel(c.ctx)
	e.cancel, e.asking = cancel, true
	c.asking.Go(func() {
		defer cancel()
		p, failures := c.config.Prober, 0
		p.Network = network
		for ctx.Err() == nil {
			owner, err := c.probe(ctx, p, e.key)
			if err != nil {
				failures++
			} else {
				failures = 0
			}
			if ctx.Err() == nil && (err == nil || failures >= claimFailures) && c.note(e, owner, err) {
				return
			}
			wait := claimAgain + rand.N(claimJitter)
			if err != nil {
				wait = p.interval()
			}
			sleep(ctx, wait)
			p.Network = c.config.Prober.Network
		}
	})
}

// probe asks when there is a socket to spare.
func (c *Claims) probe(ctx context.Context, p Prober, key entryKey) (net.HardwareAddr, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.slots }()
	return p.Probe(ctx, key.name, key.address)
}

// note keeps an answer, or that there is none, and tells whether the address is free.
func (c *Claims) note(e *claim, owner net.HardwareAddr, err error) (free bool) {
	c.mu.Lock()
	before, known := e.owner.String(), e.owner != nil
	e.free, e.owner, e.at = owner == nil, owner, time.Now()
	e.asking = !e.free
	c.mu.Unlock()
	logger := c.config.Log.WithValues("address", e.key.address, "interface", e.key.name)
	switch {
	case err != nil:
		logger.Error(err, "it could not be asked whether another host has a virtual IP; it is taken without")
	case owner == nil && known:
		logger.Info("the virtual IP is free now", "had it", before)
	case owner != nil && owner.String() != before:
		logger.Info("another host has a virtual IP; it is not taken", "MAC", owner.String())
	}
	c.config.Wake()
	return owner == nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Close ends all questions and waits for that.
func (c *Claims) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.asking.Wait()
	return nil
}
