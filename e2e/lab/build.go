package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// BuildStatic builds the command of a package of this module, given by its folder
// from the module's root ("./e2e/lab/labguest"), as a static program at output. A
// program that runs in a machine without C library has to be built so.
func BuildStatic(ctx context.Context, folder, output string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	output, err = filepath.Abs(output)
	if err != nil {
		return fmt.Errorf("lab: build %s: %w", folder, err)
	}
	// The same bytes from any checkout: caches are keyed by them.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output, folder)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: build %s: %w: %s", folder, err, text)
	}
	return nil
}

// guestSources are the folders below e2e/lab of which the guest program is made.
var guestSources = [...]string{"agent", "guest", "labguest"}

// guestProgram returns the guest program from the cache, and builds it when its
// sources have changed. A program in the cache is never replaced: labs of other
// processes may be running it.
func guestProgram(ctx context.Context, cacheDir string) (string, error) {
	key, err := guestKey()
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(filepath.Join(cacheDir, "labguest-"+key))
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	work, err := os.MkdirTemp(cacheDir, "build-")
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	defer os.RemoveAll(work)
	built := filepath.Join(work, "labguest")
	if err := BuildStatic(ctx, "./e2e/lab/labguest", built); err != nil {
		return "", err
	}
	return path, os.Rename(built, path)
}

// guestKey is a digest of all that the guest program depends on.
func guestKey() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	files := []string{filepath.Join(root, "go.mod"), filepath.Join(root, "go.sum")}
	for _, source := range guestSources {
		found, err := filepath.Glob(filepath.Join(root, "e2e", "lab", source, "*.go"))
		if err != nil || len(found) == 0 {
			return "", errors.Join(fmt.Errorf("lab: the sources of the guest program are not in %s", root), err)
		}
		files = append(files, found...)
	}
	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version())
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("lab: %w", err)
		}
		fmt.Fprintln(digest, filepath.Base(file), len(content))
		digest.Write(content)
	}
	return hex.EncodeToString(digest.Sum(nil)[:8]), nil
}
