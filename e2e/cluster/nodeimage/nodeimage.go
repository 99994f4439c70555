// Package nodeimage builds the root disk of a worker machine: a minimal Debian with containerd, runc, CNI
// plugins and kubelet, as an ext4 image that is cached under a hash of everything in it. It needs root,
// debootstrap and mkfs.ext4. The mirror is the one that apt is configured for.
//
// It may import the standard library, golang.org/x/sys/unix and the sibling packages of e2e/cluster.
package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// layoutVersion is part of the cache key; raise it when the code that assembles the image changes.
const layoutVersion = 1

// PauseArchive is where the image keeps the archive of the pause image, for `ctr images import`.
const PauseArchive = "/opt/cluster/pause.tar"

// ErrNoMirror is wrapped when apt knows no archive of the node's Debian release.
var ErrNoMirror = errors.New("apt has no source for the node's Debian release")

// Options of a build.
type Options struct {
	// CacheDir keeps images and downloaded packages between runs.
	CacheDir string
	// Kubelet is the path of the kubelet program.
	Kubelet string
	// Pause is the path of the pause image's archive.
	Pause string
}

// Build returns the path of the image, which must not be written to. The first build takes about a minute and
// a half; after that the cache answers. Several programs may call it at once.
func Build(ctx context.Context, o Options) (string, error) {
	key, err := digest(o.Kubelet, o.Pause)
	if err != nil {
		return "", fmt.Errorf("node image: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(o.CacheDir, "debs"), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(o.CacheDir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("node image: wait for another build: %w", err)
	}
	image := filepath.Join(o.CacheDir, "node-"+key+".ext4")
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	if err := build(ctx, o, image); err != nil {
		return "", fmt.Errorf("node image: %w", err)
	}
	return image, removeOthers(o.CacheDir, image)
}

func build(ctx context.Context, o Options, image string) (err error) {
	work, err := os.MkdirTemp(o.CacheDir, "building-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	root, disk := filepath.Join(work, "root"), filepath.Join(work, "disk")
	if err := bootstrap(ctx, o.CacheDir, root); err != nil {
		return err
	}
	if err := assemble(root, o); err != nil {
		return err
	}
	if err := run(ctx, "mkfs.ext4", "-q", "-F", "-L", "node", "-m", "0", "-E", "lazy_itable_init=1",
		"-d", root, disk, diskSize); err != nil {
		return err
	}
	return os.Rename(disk, image)
}

// bootstrap installs the packages into root.
func bootstrap(ctx context.Context, cache, root string) error {
	mirror, err := mirror(ctx)
	if err != nil {
		return err
	}
	return run(ctx, "debootstrap", "--variant=minbase", "--cache-dir="+filepath.Join(cache, "debs"),
		"--include="+strings.Join(packages, ","), suite, root, mirror)
}

// mirror asks apt where it fetches the release from.
func mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its sources: %w", err)
	}
	return parseMirror(string(out))
}

func parseMirror(targets string) (string, error) {
	for line := range strings.Lines(targets) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == suite {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("%w: add %s to apt's sources and run apt-get update", ErrNoMirror, suite)
}

// removeOthers keeps the cache at one image; an older one is of no use once its recipe has changed.
func removeOthers(dir, image string) error {
	others, err := filepath.Glob(filepath.Join(dir, "node-*.ext4"))
	if err != nil {
		return err
	}
	for _, other := range others {
		if other != image {
			err = errors.Join(err, os.Remove(other))
		}
	}
	return err
}

func run(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install the Debian package that holds %s", err, program)
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s: %w\n%s", program, err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return nil
}
