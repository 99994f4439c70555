package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const recordVersion = 1

// record is the file that remembers what settings were before this program changed them. It
// lets a host go back to them after any number of restarts and crashes.
type record struct {
	// Version is recordVersion.
	Version int `json:"version"`
	// Boot is Sysctls.Boot: after a reboot the settings are fresh and nothing is to restore.
	Boot string `json:"boot"`
	// Interfaces are the changed interfaces by name.
	Interfaces map[string]change `json:"interfaces"`
	// Raised are tunnel devices that were off.
	Raised []string `json:"raised,omitempty"`
}

// change is what an interface had and what it got.
type change struct {
	Before Values `json:"before"`
	Set    Values `json:"set"`
}

// prepared returns what the record must say once an interface with the settings now gets want.
// A setting that is no longer what was set was changed by somebody else since: their value is
// then the one to restore.
func (c change) prepared(now, want Values) change {
	next := change{Before: c.Before, Set: want}
	if now.ArpIgnore != c.Set.ArpIgnore {
		next.Before.ArpIgnore = now.ArpIgnore
	}
	if now.ArpAnnounce != c.Set.ArpAnnounce {
		next.Before.ArpAnnounce = now.ArpAnnounce
	}
	if now.RPFilter != c.Set.RPFilter {
		next.Before.RPFilter = now.RPFilter
	}
	return next
}

// restored returns what an interface with the settings now gets back: only what is still as it
// was set.
func (c change) restored(now Values) Values {
	if now.ArpIgnore == c.Set.ArpIgnore {
		now.ArpIgnore = c.Before.ArpIgnore
	}
	if now.ArpAnnounce == c.Set.ArpAnnounce {
		now.ArpAnnounce = c.Before.ArpAnnounce
	}
	if now.RPFilter == c.Set.RPFilter {
		now.RPFilter = c.Before.RPFilter
	}
	return now
}

// errRecordDamaged means that the file could not be understood.
var errRecordDamaged = errors.New("the record of ARP settings is damaged or of a newer version")

// loadRecord reads the file; no file, or one of an earlier boot, is an empty record. With
// errRecordDamaged the record is empty and usable.
func loadRecord(path, boot string) (record, error) {
	empty := record{Version: recordVersion, Boot: boot, Interfaces: map[string]change{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("read the record of ARP settings: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return empty, fmt.Errorf("%w: %s: %w", errRecordDamaged, path, err)
	}
	if r.Version != recordVersion {
		return empty, fmt.Errorf("%w: %s has version %d, this program knows %d", errRecordDamaged, path, r.Version, recordVersion)
	}
	if r.Boot != boot || r.Interfaces == nil {
		return empty, nil
	}
	return r, nil
}

// save replaces the file in one step and returns when it is on the disk.
func (r record) save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return recordError(path, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(b, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return recordError(path, err)
	}
	return nil
}

func recordError(path string, err error) error {
	return fmt.Errorf("write the record of ARP settings %s: %w: nothing was changed; make room or make the folder writable", path, err)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
