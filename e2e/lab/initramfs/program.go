package initramfs

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"strings"
)

// Program puts a program of this machine, found in PATH unless it is a path, and
// the shared libraries that ldd names for it, into the tree, each where it is here.
func (t *Tree) Program(ctx context.Context, name string) error {
	found, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("program for the machine: %w: install its package", err)
	}
	if err := t.Copy(found, found); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, "ldd", found).CombinedOutput()
	if err != nil {
		if strings.Contains(string(output), "not a dynamic executable") {
			return nil
		}
		return fmt.Errorf("libraries of %s: %w: %s", found, err, output)
	}
	return t.libraries(found, string(output))
}

func (t *Tree) libraries(program, output string) error {
	paths, missing := parseLdd(output)
	if len(missing) > 0 {
		return fmt.Errorf("libraries of %s are not installed: %s", program, strings.Join(missing, ", "))
	}
	for _, library := range paths {
		if t.Has(library) {
			continue
		}
		if err := t.Copy(library, library); err != nil {
			return err
		}
	}
	return nil
}

// parseLdd reads lines such as
//
//	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f...)
//	libfoo.so.1 => not found
func parseLdd(output string) (paths, missing []string) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 3 && fields[1] == "=>" && fields[2] == "not":
			missing = append(missing, fields[0])
		case len(fields) >= 3 && fields[1] == "=>" && path.IsAbs(fields[2]):
			paths = append(paths, fields[2])
		case len(fields) >= 1 && path.IsAbs(fields[0]):
			paths = append(paths, fields[0])
		}
	}
	return paths, missing
}

// Busybox puts the static busybox in, and a link for each of its commands that the
// tree does not have as a program already; call it after Program.
func (t *Tree) Busybox(ctx context.Context) error {
	found, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("program for the machine: %w: install busybox-static", err)
	}
	output, err := exec.CommandContext(ctx, found, "--list").Output()
	if err != nil {
		return fmt.Errorf("list the commands of busybox: %w", err)
	}
	for _, applet := range strings.Fields(string(output)) {
		if !t.Has("/usr/bin/"+applet) && !t.Has("/usr/sbin/"+applet) {
			t.Link("/usr/bin/"+applet, "busybox")
		}
	}
	return t.Copy("/usr/bin/busybox", found)
}
