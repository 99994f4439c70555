package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Options of a lab. The zero value is usable.
type Options struct {
	// Name appears in log lines and in the lab's folder; default "lab".
	Name string
	// Log receives one line for each thing the lab does; nil discards them. It is
	// called from several goroutines.
	Log func(format string, args ...any)
	// WorkDir is an empty or missing folder for disks, consoles and captures. It is
	// removed with the lab. Default: a new folder in the system's temporary one.
	WorkDir string
	// CacheDir keeps the kernel and the guest program between runs. Default:
	// .cache/lab in the repository.
	CacheDir string
	// Accelerator is QEMU's -accel; default "tcg,thread=multi", which works
	// everywhere. "kvm" is faster where it works.
	Accelerator string
}

// marker is a file that shows a folder to be a lab's: only such a folder is swept.
const marker = ".truepacs-lab"

func (o Options) withDefaults() (Options, error) {
	if o.Name == "" {
		o.Name = "lab"
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Accelerator == "" {
		o.Accelerator = "tcg,thread=multi"
	}
	if o.CacheDir == "" {
		root, err := moduleRoot()
		if err != nil {
			return o, err
		}
		o.CacheDir = filepath.Join(root, ".cache", "lab")
	}
	if err := os.MkdirAll(filepath.Join(o.CacheDir, registerName), 0o755); err != nil {
		return o, fmt.Errorf("lab: cache folder: %w", err)
	}
	return o, nil
}

// makeWorkDir creates or checks the folder and marks it as a lab's.
func (o Options) makeWorkDir() (string, error) {
	dir := o.WorkDir
	if dir == "" {
		made, err := os.MkdirTemp("", "truepacs-lab-")
		if err != nil {
			return "", fmt.Errorf("lab: %w", err)
		}
		dir = made
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("lab: WorkDir %s is not empty: it would be removed with the lab; give an empty or a missing one", dir)
	}
	return dir, os.WriteFile(filepath.Join(dir, marker), nil, 0o600)
}

var errNoModule = errors.New("lab: the repository is not found: set Options.CacheDir, and run from within the module")

// moduleRoot is the repository's folder: two above this file, or found from the
// working directory when the program was built with -trimpath.
func moduleRoot() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	candidates := []string{filepath.Dir(filepath.Dir(filepath.Dir(file)))}
	dir, err := os.Getwd()
	for err == nil && len(dir) > 1 {
		candidates = append(candidates, dir)
		dir = filepath.Dir(dir)
	}
	for _, candidate := range candidates {
		if _, err := os.Stat(filepath.Join(candidate, "e2e", "lab", "labguest", "main.go")); err == nil {
			return candidate, nil
		}
	}
	return "", errNoModule
}
