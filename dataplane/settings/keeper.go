package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/go-logr/logr"
)

// Config is what a Keeper needs.
type Config struct {
	// Host has the settings.
	Host Host
	// RecordPath is the file that remembers settings; its folder must exist and outlive the
	// process, not necessarily the host. Empty: only the Keeper remembers.
	RecordPath string
	// Boot identifies the running system, whose settings do not outlive it; empty: not known.
	Boot string
	// Follow returns the settings that the kernel itself writes when it is told s, and what it
	// gives them; nil: none.
	Follow func(s Setting) []Setting
	// Explain says of which setting an error is and what to do; nil: names it.
	Explain func(s Setting, err error) error
	// Log gets what an administrator may want to know; the zero value discards.
	Log logr.Logger
}

// Keeper keeps settings. Create it with New. It must not be used from several goroutines at once.
type Keeper struct {
	config Config
	record *record // nil: not read yet
}

// New returns a keeper; nothing is touched before Set.
func New(config Config) *Keeper {
	if config.Follow == nil {
		config.Follow = func(Setting) []Setting { return nil }
	}
	if config.Explain == nil {
		config.Explain = func(s Setting, err error) error { return fmt.Errorf("set %s=%s: %w", s.Name, s.Value, err) }
	}
	return &Keeper{config: config}
}

// Wish is what settings shall be.
type Wish struct {
	// Settings are made in this order and given back in the opposite one.
	Settings []Setting
	// Keep gives nothing back: it is not known whether what is not among Settings is needed.
	Keep bool
}

func (w Wish) has(name string) bool {
	return slices.ContainsFunc(w.Settings, func(s Setting) bool { return s.Name == name })
}

// Before returns what a setting was before it was changed; changed: it was, and counts as ours.
func (k *Keeper) Before(name string) (value string, changed bool, err error) {
	if err := k.load(); err != nil {
		return "", false, err
	}
	at := k.record.find(name)
	if at < 0 {
		return "", false, nil
	}
	return k.record.Changes[at].Before, true, nil
}

// Set gives settings back that are not wished any more, then makes those that are. What is as
// wished is not written. Settings that fail do not stop the others.
func (k *Keeper) Set(ctx context.Context, w Wish) error {
	if err := errors.Join(ctx.Err(), k.load()); err != nil {
		return err
	}
	var errs []error
	if !w.Keep {
		errs = k.giveBack(ctx, w)
	}
	for _, s := range w.Settings {
		errs = append(errs, k.ensure(ctx, s))
	}
	return errors.Join(errs...)
}

// Held tells how many settings that are not wished would be given back.
func (k *Keeper) Held(w Wish) (int, error) {
	if err := k.load(); err != nil {
		return 0, err
	}
	held := 0
	for _, c := range k.record.Changes {
		if c.Because == "" && !w.has(c.Name) {
			held++
		}
	}
	return held, nil
}

// giveBack gives settings back, then those that the kernel has written with them.
func (k *Keeper) giveBack(ctx context.Context, w Wish) []error {
	var errs []error
	for _, c := range slices.Backward(slices.Clone(k.record.Changes)) {
		if c.Because == "" && !w.has(c.Name) {
			errs = append(errs, k.restore(ctx, c))
		}
	}
	for _, c := range slices.Clone(k.record.Changes) {
		if c.Because != "" && k.record.find(c.Because) < 0 {
			errs = append(errs, k.restore(ctx, c))
		}
	}
	return errs
}

// ensure makes a setting what is wished.
func (k *Keeper) ensure(ctx context.Context, s Setting) error {
	now, err := k.config.Host.Read(ctx, s.Name)
	if err != nil {
		return k.config.Explain(s, err)
	}
	if now == s.Value {
		return nil
	}
	own := k.own(s, now)
	if err := k.note(append(k.followers(ctx, s, now), own)...); err != nil {
		return err
	}
	k.config.Log.Info("a setting of the host changes", "setting", s.Name, "from", now, "to", s.Value)
	if err := k.config.Host.Write(ctx, s); err != nil {
		return k.config.Explain(s, err)
	}
	own.From = ""
	return k.note(own)
}

// own is what is to be noted of a setting that is now to become s. One that is no longer what was set
// was changed by somebody else since: their value is then the one to give back.
func (k *Keeper) own(s Setting, now string) change {
	at := k.record.find(s.Name)
	if at < 0 || !k.record.Changes[at].ours(now) {
		return change{Name: s.Name, Before: now, Set: s.Value}
	}
	return change{Name: s.Name, Before: k.record.Changes[at].Before, From: now, Set: s.Value}
}

// followers are the settings that the kernel writes with s, and that it would not bring back by
// itself when s becomes again what it is now.
func (k *Keeper) followers(ctx context.Context, s Setting, now string) []change {
	undone := map[string]string{}
	for _, f := range k.config.Follow(Setting{s.Name, now}) {
		undone[f.Name] = f.Value
	}
	var all []change
	for _, f := range k.config.Follow(s) {
		value, err := k.config.Host.Read(ctx, f.Name)
		if err != nil {
			continue // its interface is gone
		}
		at := k.record.find(f.Name)
		switch {
		case at < 0 && value == undone[f.Name]:
			continue
		case at < 0:
		case k.record.Changes[at].Because == "":
			continue // changed for itself
		case value == undone[f.Name], value == k.record.Changes[at].Set:
			value = k.record.Changes[at].Before // what it is now is the kernel's work
		}
		all = append(all, change{Name: f.Name, Before: value, Set: f.Value, Because: s.Name})
	}
	return all
}

// restore gives a setting back if it is as it was set.
func (k *Keeper) restore(ctx context.Context, c change) error {
	back := Setting{c.Name, c.Before}
	now, err := k.config.Host.Read(ctx, c.Name)
	if err == nil {
		if err := k.note(k.returning(ctx, c, now)...); err != nil {
			return err
		}
	}
	if err == nil && c.ours(now) && now != c.Before {
		k.config.Log.Info("a setting of the host is given back", "setting", c.Name, "to", c.Before)
		err = k.config.Host.Write(ctx, back)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // its interface may be gone
		return k.config.Explain(back, err)
	}
	return k.forget(c.Name)
}

// returning notes, before c is given back, what the kernel is about to make of the settings that
// follow it, and what they have to be then: a value that is somebody else's stays.
func (k *Keeper) returning(ctx context.Context, c change, now string) []change {
	var all []change
	for _, f := range k.config.Follow(Setting{c.Name, c.Before}) {
		at := k.record.find(f.Name)
		if at < 0 || k.record.Changes[at].Because != c.Name {
			continue
		}
		follower := k.record.Changes[at]
		value, err := k.config.Host.Read(ctx, f.Name)
		if err != nil {
			continue
		}
		done := now != c.Set && value == f.Value // the kernel has been told already
		if value != follower.Set && !done {
			follower.Before = value
		}
		follower.Set = f.Value
		all = append(all, follower)
	}
	return all
}
