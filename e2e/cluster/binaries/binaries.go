// Package binaries finds the programs of a test cluster and builds the missing ones from the pinned module
// e2e/cluster/kubernetes.
//
// Search order: the directory named by KUBEBUILDER_ASSETS (etcd, kube-apiserver and kubectl only, as envtest
// lays them out), then .cache/bin of the repository, which is filled from the pinned module and rebuilt only
// when that module's go.mod or go.sum changes, then PATH for etcd.
//
// It may import the standard library and golang.org/x/sys/unix only.
package binaries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Name is a program of the cluster.
type Name string

// The programs.
const (
	Etcd              Name = "etcd"
	APIServer         Name = "kube-apiserver"
	ControllerManager Name = "kube-controller-manager"
	Scheduler         Name = "kube-scheduler"
	Kubelet           Name = "kubelet"
	Kubectl           Name = "kubectl"
)

// AssetsVariable names the environment variable of envtest's binary directory.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// assets are the programs an envtest directory holds.
var assets = []Name{Etcd, APIServer, Kubectl}

// ErrNotFound is wrapped when a program is neither present nor can be built.
var ErrNotFound = errors.New("program not found")

// Set maps a program to its absolute path.
type Set map[Name]string

// Find returns the paths of the named programs, building what is missing. The first build takes about a
// quarter of an hour on two cores; later ones only link.
func Find(ctx context.Context, names ...Name) (Set, error) {
	set := Set{}
	var build []Name
	for _, name := range names {
		path, err := present(name)
		if err != nil {
			return nil, err
		}
		if path == "" {
			build = append(build, name)
			continue
		}
		set[name] = path
	}
	if len(build) == 0 {
		return set, nil
	}
	return set, addBuilt(ctx, set, build)
}

func addBuilt(ctx context.Context, set Set, names []Name) error {
	root, err := Root()
	if err != nil {
		return err
	}
	if err := Build(ctx, root, names...); err != nil {
		return err
	}
	for _, name := range names {
		set[name] = filepath.Join(root, binDir, string(name))
	}
	return nil
}

// present finds the programs that are not built here; an empty path means: build it.
func present(name Name) (string, error) {
	if dir := os.Getenv(AssetsVariable); dir != "" && slices.Contains(assets, name) {
		path, err := filepath.Abs(filepath.Join(dir, string(name)))
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return "", fmt.Errorf("%w: %s is set but holds no %s: %w", ErrNotFound, AssetsVariable, name, err)
		}
		return path, nil
	}
	if name != Etcd {
		return "", nil
	}
	path, err := exec.LookPath(string(name))
	if err != nil {
		return "", fmt.Errorf("%w: %s; install the package etcd-server or set %s: %w", ErrNotFound, name, AssetsVariable, err)
	}
	return path, nil
}
