package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	binDir    = ".cache/bin"
	moduleDir = "e2e/cluster/kubernetes"
	thisRepo  = "module github.com/truepacs/balancer\n"
)

var kubernetesVersion = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

// Root is the repository's top directory, found by walking up from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(text), thisRepo) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside the repository: run this from the directory of github.com/truepacs/balancer or below")
		}
	}
}

// Build makes the named programs in root's .cache/bin current with the pinned module. Several programs may
// call it at once: a file lock lets one build and the others wait.
func Build(ctx context.Context, root string, names ...Name) error {
	out := filepath.Join(root, binDir)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(out, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	r, err := readRecipe(filepath.Join(root, moduleDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.build(ctx, out, name); err != nil {
			return err
		}
	}
	return nil
}

// recipe is everything the built programs depend on.
type recipe struct {
	dir     string
	ldflags string
	digest  string
}

func readRecipe(dir string) (recipe, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return recipe{}, fmt.Errorf("read the pinned Kubernetes module: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return recipe{}, fmt.Errorf("read the pinned Kubernetes module: %w", err)
	}
	flags, err := ldflags(mod)
	if err != nil {
		return recipe{}, err
	}
	digest := sha256.Sum256(bytes.Join([][]byte{mod, sum, []byte(flags)}, []byte{0}))
	return recipe{dir: dir, ldflags: flags, digest: hex.EncodeToString(digest[:])}, nil
}

// ldflags stamps the version that go.mod pins; an unstamped API server calls itself v0.0.0 and refuses its
// own feature gates.
func ldflags(mod []byte) (string, error) {
	m := kubernetesVersion.FindSubmatch(mod)
	if m == nil {
		return "", fmt.Errorf("%s/go.mod requires no k8s.io/kubernetes: restore the file", moduleDir)
	}
	const x = " -X k8s.io/component-base/version."
	return fmt.Sprintf("-s -w%[1]sgitVersion=%[2]s%[1]sgitMajor=%[3]s%[1]sgitMinor=%[4]s", x, m[1], m[2], m[3]), nil
}

func (r recipe) build(ctx context.Context, out string, name Name) error {
	program, stamp := filepath.Join(out, string(name)), filepath.Join(out, "."+string(name)+".built")
	if was, err := os.ReadFile(stamp); err == nil && string(was) == r.digest {
		if _, err := os.Stat(program); err == nil {
			return nil
		}
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", r.ldflags,
		"-o", program, "k8s.io/kubernetes/cmd/"+string(name))
	cmd.Dir = r.dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s from %s: %w\n%s", name, moduleDir, err, text)
	}
	return os.WriteFile(stamp, []byte(r.digest), 0o644)
}

func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for another build: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}
