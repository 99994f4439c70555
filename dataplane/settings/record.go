package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const recordVersion = 1

// record is the file that remembers what settings were before this program changed them.
type record struct {
	Version int      `json:"version"`
	Boot    string   `json:"boot"`
	Changes []change `json:"changes"`
}

// change is a setting, what it was and what it got.
type change struct {
	Name   string `json:"path"`
	Before string `json:"before"`
	Set    string `json:"set"`
	// From is what it was set to earlier, until it has become Set.
	From string `json:"from,omitempty"`
	// Because is the setting with which the kernel writes this one; empty: it was changed for itself.
	Because string `json:"because,omitempty"`
}

// ours tells whether a value is what was set.
func (c change) ours(value string) bool { return value == c.Set || c.From != "" && value == c.From }

func (r *record) find(name string) int {
	return slices.IndexFunc(r.Changes, func(c change) bool { return c.Name == name })
}

// load reads the file if it is not known; no file, or one of an earlier boot, is an empty record. A
// damaged one is set aside: serving matters more than going back to old settings.
func (k *Keeper) load() error {
	if k.record != nil {
		return nil
	}
	empty := &record{Version: recordVersion, Boot: k.config.Boot}
	if k.config.RecordPath == "" {
		k.record = empty
		return nil
	}
	b, err := os.ReadFile(k.config.RecordPath)
	if errors.Is(err, fs.ErrNotExist) {
		k.record = empty
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what settings of the host were before: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.Version != recordVersion {
		aside := k.config.RecordPath + ".damaged"
		k.config.Log.Error(err, "what settings of the host were before cannot be restored; the file is kept for inspection", "file", aside, "version", r.Version)
		if err := os.Rename(k.config.RecordPath, aside); err != nil {
			return fmt.Errorf("set the damaged record of settings aside: %w", err)
		}
		r = *empty
	}
	if r.Boot != k.config.Boot {
		r = *empty
	}
	k.record = &r
	return nil
}

// note saves changes before they are made.
func (k *Keeper) note(all ...change) error {
	next := slices.Clone(k.record.Changes)
	for _, c := range all {
		if at := k.record.find(c.Name); at >= 0 {
			next[at] = c
		} else {
			next = append(next, c)
		}
	}
	return k.save(next)
}

func (k *Keeper) forget(name string) error {
	return k.save(slices.DeleteFunc(slices.Clone(k.record.Changes), func(c change) bool { return c.Name == name }))
}

// save replaces the file in one step and returns when it is on the disk.
func (k *Keeper) save(changes []change) error {
	if slices.Equal(changes, k.record.Changes) {
		return nil
	}
	next := *k.record
	next.Changes = changes
	if path := k.config.RecordPath; path != "" {
		b, err := json.MarshalIndent(next, "", "  ")
		if err != nil {
			return err
		}
		if err := replace(path, append(b, '\n')); err != nil {
			return fmt.Errorf("note in %s what settings of the host were before: %w: nothing was changed; make room or make the folder writable", path, err)
		}
	}
	k.record = &next
	return nil
}

func replace(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
