package initramfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// Tree is a file system being composed. Later entries replace earlier ones. Create
// it with New.
type Tree struct {
	entries map[string]node // by path without leading slash
}

type node struct {
	mode    uint32
	source  string // file to copy; empty: content
	content string // also a symlink's target
}

// New returns a tree with the usual folders, /bin, /sbin, /lib and /lib64 being
// links into /usr.
func New() *Tree {
	t := &Tree{entries: make(map[string]node)}
	for _, dir := range []string{
		"dev", "etc", "newroot", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
		"usr/lib/modules", "var/lib", "var/log", "mnt",
	} {
		t.addDir(dir)
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		t.entries[link] = node{mode: typeSymlink | 0o777, content: "usr/" + link}
	}
	t.Link("/var/run", "../run")
	t.Link("/etc/mtab", "../proc/self/mounts")
	return t
}

// canonical maps a path to its place in the merged /usr.
func canonical(name string) string {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	first, rest, _ := strings.Cut(clean, "/")
	switch first {
	case "bin", "sbin", "lib", "lib64":
		if rest != "" {
			return "usr/" + clean
		}
	}
	return clean
}

func (t *Tree) addDir(name string) {
	for dir := canonical(name); dir != "." && dir != ""; dir = path.Dir(dir) {
		if _, exists := t.entries[dir]; exists {
			return
		}
		t.entries[dir] = node{mode: typeDir | 0o755}
	}
}

func (t *Tree) set(name string, n node) {
	clean := canonical(name)
	t.addDir(path.Dir(clean))
	t.entries[clean] = n
}

// Has says whether the tree has something at name.
func (t *Tree) Has(name string) bool {
	_, exists := t.entries[canonical(name)]
	return exists
}

// Write puts a file with content at name.
func (t *Tree) Write(name, content string, mode os.FileMode) {
	t.set(name, node{mode: typeRegular | uint32(mode.Perm()), content: content})
}

// Link puts a symbolic link at name.
func (t *Tree) Link(name, target string) {
	t.set(name, node{mode: typeSymlink | 0o777, content: target})
}

// Copy puts the file source, or the whole folder source, at name. Symbolic links
// are followed.
func (t *Tree) Copy(name, source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("file for the machine: %w", err)
	}
	if !info.IsDir() {
		t.set(name, node{mode: typeRegular | uint32(info.Mode().Perm()), source: source})
		return nil
	}
	t.addDir(name)
	children, err := os.ReadDir(source)
	if err != nil {
		return fmt.Errorf("folder for the machine: %w", err)
	}
	for _, child := range children {
		if err := t.Copy(path.Join(name, child.Name()), filepath.Join(source, child.Name())); err != nil {
			return err
		}
	}
	return nil
}

// WriteTo writes the archive.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	names := make([]string, 0, len(t.entries))
	for name := range t.entries {
		names = append(names, name)
	}
	sort.Strings(names) // a folder comes before what is in it
	a := newArchive(w)
	for _, name := range names {
		if err := t.entries[name].write(a, name); err != nil {
			return a.size, err
		}
	}
	return a.size, a.close()
}

func (n node) write(a *archive, name string) error {
	if n.source == "" {
		return a.entry(name, n.mode, int64(len(n.content)), strings.NewReader(n.content))
	}
	file, err := os.Open(n.source)
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return a.entry(name, n.mode, info.Size(), file)
}

// Save writes the archive to a new file.
func (t *Tree) Save(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	_, err = t.WriteTo(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("initramfs %s: %w", file, err)
	}
	return nil
}
