package nodeimage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// assemble turns the installed system into a node.
func assemble(root string, o Options) error {
	steps := []func() error{
		func() error { return discard(root) },
		func() error { return copyTree(root) },
		func() error { return copyFile(o.Kubelet, filepath.Join(root, "usr/local/bin/kubelet"), 0o755) },
		func() error { return copyFile(o.Pause, filepath.Join(root, PauseArchive), 0o644) },
		func() error { return linkUnits(root) },
		func() error { return identity(root) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("assemble the system: %w", err)
		}
	}
	return nil
}

func discard(root string) error {
	for _, dir := range discarded {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	return nil
}

// copyTree lays the embedded files over the system.
func copyTree(root string) error {
	tree, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	return fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		target := filepath.Join(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		body, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, body, 0o644)
	})
}

func copyFile(from, to string, mode os.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

func linkUnits(root string) error {
	system := filepath.Join(root, "etc/systemd/system")
	wants := filepath.Join(system, "multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	links := map[string]string{
		filepath.Join(system, "default.target"):                    "/lib/systemd/system/multi-user.target",
		filepath.Join(root, "etc/systemd/network/99-default.link"): os.DevNull, // interfaces keep name and address
	}
	for _, unit := range masked {
		links[filepath.Join(system, unit)] = os.DevNull
	}
	for _, unit := range enabled {
		dir := "/etc/systemd/system"
		if _, err := os.Stat(filepath.Join(system, unit)); err != nil {
			dir = "/lib/systemd/system"
		}
		links[filepath.Join(wants, unit)] = filepath.Join(dir, unit)
	}
	for name, target := range links {
		if err := relink(name, target); err != nil {
			return err
		}
	}
	return nil
}

func relink(name, target string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, name)
}

// identity leaves to each machine what must differ between machines, and no way in but the lab's agent.
func identity(root string) error {
	content := map[string]string{
		"etc/machine-id": "", // empty: a fresh one at boot, without the first-boot presets
		"etc/fstab":      "",
		"etc/hosts":      "127.0.0.1 localhost\n::1 localhost\n",
		"etc/hostname":   "",
	}
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(root, "etc/kubernetes/manifests"), 0o755)
}
