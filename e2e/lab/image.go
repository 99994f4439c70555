package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/truepacs/balancer/e2e/lab/guest"
	"github.com/truepacs/balancer/e2e/lab/initramfs"
	"github.com/truepacs/balancer/e2e/lab/kernel"
)

// bootModules are the drivers without which a machine has neither disk nor
// network; all others come from the modules disk.
var bootModules = [...]string{"virtio_pci", "virtio_net", "virtio_blk"}

// baseTools are in every machine. The shell and the programs that start others are
// this machine's own: busybox's run built-in commands before those in PATH, so "ip"
// in a script would not be the program that was put in.
var baseTools = [...]string{
	"modprobe", "/bin/sh", "env", "timeout", "nohup", "nice", "chroot", "setsid", "unshare", "nsenter", "xargs", "find",
}

// writeInitramfs composes the machine's first file system.
func (m *Machine) writeInitramfs() error {
	tree := initramfs.New()
	if err := tree.Copy("/init", m.lab.guest); err != nil {
		return err
	}
	if err := m.addBootModules(tree); err != nil {
		return err
	}
	if err := m.addConfig(tree); err != nil {
		return err
	}
	if m.spec.RootDisk == "" {
		if err := m.addUserland(tree); err != nil {
			return err
		}
	}
	return tree.Save(m.file("initramfs"))
}

func (m *Machine) addBootModules(tree *initramfs.Tree) error {
	file, err := os.Open(filepath.Join(m.kernel.Modules, "modules.dep"))
	if err != nil {
		return err
	}
	defer file.Close()
	modules, err := kernel.Closure(file, bootModules[:]...)
	if err != nil {
		return err
	}
	for i, module := range modules {
		name := fmt.Sprintf("%s/%02d-%s", guest.BootModules, i, filepath.Base(module))
		if err := tree.Copy(name, filepath.Join(m.kernel.Modules, module)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) addConfig(tree *initramfs.Tree) error {
	config := guest.Config{
		Hostname: m.name, Management: m.management, DataDisk: m.spec.Disk > 0, RootDisk: m.spec.RootDisk != "",
		Modules: append([]string{"virtio_rng"}, m.spec.Modules...),
	}
	for _, p := range m.ports {
		config.NICs = append(config.NICs, p.nic)
	}
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	tree.Write(guest.ConfigPath, string(content), 0o600)
	return nil
}

func (m *Machine) addUserland(tree *initramfs.Tree) error {
	tree.Write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)
	tree.Write("/etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)
	tree.Write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 "+m.name+"\n", 0o644)
	tree.Write("/etc/hostname", m.name+"\n", 0o644)
	for _, tool := range append(baseTools[:], m.spec.Tools...) {
		if err := tree.Program(m.lab.ctx, tool); err != nil {
			return err
		}
	}
	for target, source := range m.spec.Files {
		if err := tree.Copy(target, source); err != nil {
			return err
		}
	}
	return tree.Busybox(m.lab.ctx)
}

// makeDisks makes what outlives a power-off.
func (m *Machine) makeDisks() error {
	if m.spec.RootDisk != "" {
		return m.command("cp", "--sparse=always", "--reflink=auto", m.spec.RootDisk, m.file("root"))
	}
	if m.spec.Disk == 0 {
		return nil
	}
	return m.command("mkfs.ext4", "-q", "-F", m.file("data"), fmt.Sprintf("%dM", m.spec.Disk))
}

func (m *Machine) command(name string, args ...string) error {
	if output, err := exec.CommandContext(m.lab.ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}
