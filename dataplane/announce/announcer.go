package announce

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/model"
)

// Config is what an Announcer needs.
type Config struct {
	// Network is Sockets or, in tests, a Fake.
	Network Network
	// Schedule says when; the zero value: DefaultSchedule.
	Schedule Schedule
	// Log gets announcements that fail and work again; the zero value discards.
	Log logr.Logger
}

// Announcer announces virtual IP addresses. Create it with New and Close it.
type Announcer struct {
	config Config
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	entries map[entryKey]*entry
	ports   map[portKey]*port
	closed  bool
}

type entryKey struct {
	address netip.Addr
	name    string
}

// port returns which port announces the address.
func (k entryKey) port() portKey { return portKey{k.name, kindOf(k.address)} }

// entry is one address; sent counts announcements, due is the time of the next, zero for none.
type entry struct {
	sent    int
	due     time.Time
	failing bool
}

// portKey names a port.
type portKey struct {
	name string
	kind Kind
}

// port is an open port with what was known of its interface then.
type port struct {
	Port
	at Interface
}

// New returns an announcer and starts its goroutine.
func New(config Config) *Announcer {
	if len(config.Schedule.Burst) == 0 {
		config.Schedule = DefaultSchedule()
	}
	a := &Announcer{
		config:  config,
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		entries: map[entryKey]*entry{},
		ports:   map[portKey]*port{},
	}
	go a.run()
	return a
}

// ErrClosed means that the announcer was closed.
var ErrClosed = errors.New("the announcer is closed")

// Set makes all these addresses the ones that are announced. One that is new, or whose interface
// got another MAC address, is announced in a burst from now on; one that is no longer in the set
// is not announced any more. An address must be on its interface before it is announced.
//
// It returns at once; what cannot be sent later is logged and tried again. Item errors carry the
// Key of the virtual IP.
func (a *Announcer) Set(ctx context.Context, all []model.VirtualIP) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if a.closed {
		return ErrClosed
	}
	next := map[entryKey]*entry{}
	fresh := map[portKey]bool{} // ports that are new
	failed := map[portKey]error{}
	a.refreshPorts(all, fresh, failed)
	var errs []error
	for _, vip := range all {
		if err := refused(vip, failed); err != nil {
			errs = append(errs, err)
			continue
		}
		key := entryKey{vip.Address, vip.Interface}
		next[key] = a.entries[key]
		if next[key] == nil || fresh[key.port()] {
			next[key] = &entry{due: time.Now().Add(a.config.Schedule.Burst[0])}
		}
	}
	a.entries = next
	a.notify()
	return errors.Join(errs...)
}

// Again announces those of the addresses of the last Set that are named in a burst from now on:
// they were away and are back.
func (a *Announcer) Again(addresses []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.entries {
		if slices.Contains(addresses, key.address) {
			a.entries[key] = &entry{due: time.Now().Add(a.config.Schedule.Burst[0])}
		}
	}
	a.notify()
}

// refreshPorts opens and closes ports so that each interface that is named has one for its
// present number and MAC address and each family.
func (a *Announcer) refreshPorts(all []model.VirtualIP, fresh map[portKey]bool, failed map[portKey]error) {
	wanted := map[portKey]bool{}
	for _, vip := range all {
		key := entryKey{vip.Address, vip.Interface}.port()
		if wanted[key] || !usable(vip.Address) {
			continue
		}
		wanted[key] = true
		opened, err := a.refreshPort(key)
		if err != nil {
			failed[key] = err
		}
		fresh[key] = opened
	}
	for key := range a.ports {
		if !wanted[key] || failed[key] != nil {
			a.closePort(key)
		}
	}
}

func (a *Announcer) refreshPort(key portKey) (opened bool, err error) {
	at, err := a.config.Network.Interface(key.name)
	if err != nil {
		return false, err
	}
	if old, there := a.ports[key]; there && old.at.Index == at.Index && old.at.MAC == at.MAC {
		old.at = at
		return false, nil
	}
	a.closePort(key)
	p, err := a.config.Network.Open(key.name, key.kind, nil)
	if err != nil {
		return false, err
	}
	a.ports[key] = &port{Port: p, at: at}
	return true, nil
}

func (a *Announcer) closePort(key portKey) {
	if p, there := a.ports[key]; there {
		_ = p.Close()
		delete(a.ports, key)
	}
}

// notify wakes the goroutine.
func (a *Announcer) notify() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Close ends announcements; it returns when the goroutine has ended. It may be called again.
func (a *Announcer) Close() error {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		close(a.stop)
	}
	a.mu.Unlock()
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.ports {
		a.closePort(key)
	}
	return nil
}

func (a *Announcer) run() {
	defer close(a.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-a.wake:
		case <-timer.C:
		}
		if next := a.announceDue(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// announceDue announces what is due and returns when the next one is, zero for never.
func (a *Announcer) announceDue(now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	var next time.Time
	for key, e := range a.entries {
		if !e.due.IsZero() && !e.due.After(now) {
			a.announce(key, e, now)
		}
		if !e.due.IsZero() && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	return next
}

// announce sends one announcement; one that fails does not count.
func (a *Announcer) announce(key entryKey, e *entry, now time.Time) {
	if err := a.send(key); err != nil {
		e.due = now.Add(a.config.Schedule.Retry)
		if !e.failing {
			a.config.Log.Error(err, "a virtual IP address cannot be announced; it is tried again until it works",
				"address", key.address, "interface", key.name)
		}
		e.failing = true
		return
	}
	if e.failing {
		a.config.Log.Info("the virtual IP address is announced again", "address", key.address, "interface", key.name)
	}
	e.failing = false
	e.sent++
	wait, more := a.config.Schedule.after(e.sent)
	e.due = now.Add(wait)
	if !more {
		e.due = time.Time{}
	}
}

func (a *Announcer) send(key entryKey) error {
	p := a.ports[key.port()]
	if key.address.Is6() {
		return p.Send(groupMAC(allNodes()), neighborAnnouncement(p.at.MAC, key.address, p.at.Router).Append(nil))
	}
	for _, packet := range announcements(p.at.MAC, key.address) {
		if err := p.Send(everybody(), packet.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
