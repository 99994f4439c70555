package forwarding

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
	Path   string `json:"path"`
	Before string `json:"before"`
	Set    string `json:"set"`
}

func (r *record) find(path string) int {
	return slices.IndexFunc(r.Changes, func(c change) bool { return c.Path == path })
}

// load reads the file; no file, or one of an earlier boot, is an empty record. A damaged one is set
// aside: serving matters more than going back to old settings.
func (d *Driver) load() (*record, error) {
	empty := &record{Version: recordVersion, Boot: d.config.Boot}
	b, err := os.ReadFile(d.config.RecordPath)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what forwarding was before: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.Version != recordVersion {
		aside := d.config.RecordPath + ".damaged"
		d.config.Log.Error(err, "what forwarding was before cannot be restored; the file is kept for inspection", "file", aside, "version", r.Version)
		return empty, os.Rename(d.config.RecordPath, aside)
	}
	if r.Boot != d.config.Boot {
		return empty, nil
	}
	return &r, nil
}

// remember notes a change before it is made. A setting that is no longer what was set was changed
// by somebody else since: their value is then the one to give back.
func (d *Driver) remember(r *record, c change) error {
	if at := r.find(c.Path); at >= 0 {
		r.Changes[at] = c
	} else {
		r.Changes = append(r.Changes, c)
	}
	return d.save(r)
}

func (d *Driver) forget(r *record, path string) error {
	r.Changes = slices.DeleteFunc(r.Changes, func(c change) bool { return c.Path == path })
	return d.save(r)
}

// save replaces the file in one step and returns when it is on the disk.
func (d *Driver) save(r *record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := d.config.RecordPath
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return unsaved(path, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(b, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return unsaved(path, err)
	}
	return nil
}

func unsaved(path string, err error) error {
	return fmt.Errorf("note in %s what forwarding was before: %w: nothing was changed; make room or make the folder writable", path, err)
}
