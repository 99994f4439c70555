package settings_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/settings"
)

var errDied = errors.New("the program has died")

// host is a host in memory. As a kernel does, it writes "b" and "c" with "main": "b" gets the same,
// "c" the opposite.
type host struct {
	values map[string]string
	writes int
	dieAt  int // the write that does not come about any more; 0: none
}

func follow(s settings.Setting) []settings.Setting {
	if s.Name != "main" {
		return nil
	}
	return []settings.Setting{{Name: "b", Value: s.Value}, {Name: "c", Value: map[string]string{"0": "1", "1": "0"}[s.Value]}}
}

func (h *host) Read(_ context.Context, name string) (string, error) {
	value, there := h.values[name]
	if !there {
		return "", fs.ErrNotExist
	}
	return value, nil
}

func (h *host) Write(_ context.Context, s settings.Setting) error {
	if h.writes++; h.writes == h.dieAt {
		return errDied
	}
	h.put(s)
	return nil
}

// put is a write of anybody.
func (h *host) put(s settings.Setting) {
	if h.values[s.Name] == s.Value {
		return
	}
	h.values[s.Name] = s.Value
	for _, f := range follow(s) {
		h.values[f.Name] = f.Value
	}
}

// keeper is one that was just started.
func (h *host) keeper(path string) *settings.Keeper {
	return settings.New(settings.Config{Host: h, RecordPath: path, Boot: "now", Follow: follow})
}

func wish(pairs ...string) settings.Wish {
	var w settings.Wish
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		w.Settings = append(w.Settings, settings.Setting{Name: name, Value: value})
	}
	return w
}

func TestWhatWasSetIsGivenBack(t *testing.T) {
	for name, tc := range map[string]struct {
		before    map[string]string
		meanwhile func(*host)
		wishes    []settings.Wish
		want      map[string]string
	}{
		"changed":                   {map[string]string{"a": "5"}, nil, []settings.Wish{wish("a=7"), wish()}, map[string]string{"a": "5"}},
		"changed twice":             {map[string]string{"a": "5"}, nil, []settings.Wish{wish("a=7"), wish("a=8"), wish()}, map[string]string{"a": "5"}},
		"as wished already":         {map[string]string{"a": "7"}, nil, []settings.Wish{wish("a=7"), wish()}, map[string]string{"a": "7"}},
		"somebody else's since":     {map[string]string{"a": "5"}, func(h *host) { h.values["a"] = "6" }, []settings.Wish{wish("a=7"), wish()}, map[string]string{"a": "6"}},
		"one of two":                {map[string]string{"a": "5", "d": "5"}, nil, []settings.Wish{wish("a=7", "d=7"), wish("d=7")}, map[string]string{"a": "5", "d": "7"}},
		"kept":                      {map[string]string{"a": "5"}, nil, []settings.Wish{wish("a=7"), {Keep: true}}, map[string]string{"a": "7"}},
		"kept for a while":          {map[string]string{"a": "5"}, nil, []settings.Wish{wish("a=7"), {Keep: true}, wish()}, map[string]string{"a": "5"}},
		"gone":                      {map[string]string{"a": "5"}, func(h *host) { delete(h.values, "a") }, []settings.Wish{wish("a=7"), wish()}, map[string]string{}},
		"followers as the kernel's": {map[string]string{"main": "0", "b": "0", "c": "1"}, nil, []settings.Wish{wish("main=1"), wish()}, map[string]string{"main": "0", "b": "0", "c": "1"}},
		"followers of their own":    {map[string]string{"main": "0", "b": "1", "c": "0"}, nil, []settings.Wish{wish("main=1"), wish()}, map[string]string{"main": "0", "b": "1", "c": "0"}},
		"follower somebody else's": {map[string]string{"main": "0", "b": "1", "c": "0"}, func(h *host) { h.values["c"] = "1" },
			[]settings.Wish{wish("main=1"), wish()}, map[string]string{"main": "0", "b": "1", "c": "1"}},
		"main taken back by somebody": {map[string]string{"main": "0", "b": "1", "c": "0"}, func(h *host) { h.put(settings.Setting{Name: "main", Value: "0"}) },
			[]settings.Wish{wish("main=1"), wish()}, map[string]string{"main": "0", "b": "1", "c": "0"}},
		"main taken back and set again": {map[string]string{"main": "0", "b": "1", "c": "0"}, func(h *host) { h.put(settings.Setting{Name: "main", Value: "0"}) },
			[]settings.Wish{wish("main=1"), wish("main=1"), wish()}, map[string]string{"main": "0", "b": "1", "c": "0"}},
		"follower wished for itself": {map[string]string{"main": "0", "b": "0", "c": "0"}, nil,
			[]settings.Wish{wish("b=1"), wish("main=1", "b=1"), wish("b=1")}, map[string]string{"main": "0", "b": "1", "c": "0"}},
		"follower wished for itself and back": {map[string]string{"main": "0", "b": "0", "c": "0"}, nil,
			[]settings.Wish{wish("main=1"), wish("main=1", "b=1"), wish("b=1"), wish()}, map[string]string{"main": "0", "b": "0", "c": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, path := &host{values: tc.before}, filepath.Join(t.TempDir(), "record.json")
			for i, w := range tc.wishes {
				for range 2 {
					if err := h.keeper(path).Set(t.Context(), w); err != nil {
						t.Fatal(err)
					}
				}
				if i == 0 && tc.meanwhile != nil {
					tc.meanwhile(h)
				}
			}
			if diff := cmp.Diff(tc.want, h.values); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAnyDeathIsSurvived: whatever the settings were, whatever is wished one after the other, and
// whenever the program dies, in the end all is as it was.
func TestAnyDeathIsSurvived(t *testing.T) {
	folder := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		path := filepath.Join(folder, fmt.Sprint(run))
		bit := rapid.SampledFrom([]string{"0", "1"})
		h := &host{values: map[string]string{"main": bit.Draw(t, "main"), "b": bit.Draw(t, "b"), "c": bit.Draw(t, "c"), "a": bit.Draw(t, "a")}}
		before := maps.Clone(h.values)
		wishes := rapid.SliceOfN(rapid.SampledFrom([]settings.Wish{wish(), wish("main=1"), wish("a=1"), wish("a=2"), wish("a=1", "main=1"), wish("a=2", "main=1"), wish("main=1", "b=1")}), 1, 4).Draw(t, "wishes")
		h.dieAt = rapid.IntRange(0, 8).Draw(t, "dies")
		for _, w := range append(wishes, wish()) {
			err := h.keeper(path).Set(context.Background(), w)
			if err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			for _, s := range w.Settings {
				if err == nil && h.values[s.Name] != s.Value {
					t.Fatalf("%s is %s", s.Name, h.values[s.Name])
				}
			}
		}
		if err := h.keeper(path).Set(context.Background(), wish()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, h.values); diff != "" {
			t.Fatalf("left behind (-before +after):\n%s", diff)
		}
	})
}

func TestNothingIsWrittenAgain(t *testing.T) {
	h, path := &host{values: map[string]string{"a": "5", "main": "0", "b": "0", "c": "0"}}, filepath.Join(t.TempDir(), "record.json")
	for range 3 {
		if err := h.keeper(path).Set(t.Context(), wish("a=7", "main=1")); err != nil {
			t.Fatal(err)
		}
	}
	if h.writes != 2 {
		t.Errorf("%d writes", h.writes)
	}
}

func TestRecordsOfAnEarlierBootAreVoid(t *testing.T) {
	h, path := &host{values: map[string]string{"a": "5"}}, filepath.Join(t.TempDir(), "record.json")
	if err := h.keeper(path).Set(t.Context(), wish("a=7")); err != nil {
		t.Fatal(err)
	}
	next := settings.New(settings.Config{Host: h, RecordPath: path, Boot: "later"})
	if err := next.Set(t.Context(), wish()); err != nil || h.values["a"] != "7" {
		t.Errorf("%v, a is %s: after a reboot it is the administrator's", err, h.values["a"])
	}
}

// TestNothingChangesWithoutARecord: a folder that is gone stands for a disk that is full.
func TestNothingChangesWithoutARecord(t *testing.T) {
	h := &host{values: map[string]string{"a": "5"}}
	err := h.keeper(filepath.Join(t.TempDir(), "gone", "record.json")).Set(t.Context(), wish("a=7"))
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || h.values["a"] != "5" {
		t.Errorf("%v, a is %s", err, h.values["a"])
	}
}

func TestDamagedRecordIsSetAside(t *testing.T) {
	h, path := &host{values: map[string]string{"a": "5"}}, filepath.Join(t.TempDir(), "record.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.keeper(path).Set(t.Context(), wish("a=7")); err != nil || h.values["a"] != "7" {
		t.Errorf("%v, a is %s", err, h.values["a"])
	}
	if b, err := os.ReadFile(path + ".damaged"); err != nil || string(b) != "{" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHeldAreThoseNotWished(t *testing.T) {
	h := &host{values: map[string]string{"a": "5", "d": "5"}}
	k := h.keeper("")
	if err := k.Set(t.Context(), wish("a=7", "d=7")); err != nil {
		t.Fatal(err)
	}
	if n, err := k.Held(wish("d=7")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
