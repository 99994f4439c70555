package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// registerName is the folder in the cache that has one entry for each lab: a file
// that names the lab's folder and is locked while its supervisor or world live.
const registerName = "labs"

// register records a lab's folder and returns the locked entry. The supervisor
// inherits the descriptor and with it the lock.
func register(cacheDir, dir string) (*os.File, error) {
	file, err := os.CreateTemp(filepath.Join(cacheDir, registerName), "lab-")
	if err != nil {
		return nil, fmt.Errorf("lab: register: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lab: lock the register entry: %w", err)
	}
	if _, err := file.WriteString(dir); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lab: register: %w", err)
	}
	return file, nil
}

// sweep removes what labs left whose test and supervisor were both killed. Their
// processes and namespaces ended with them; files are what can remain.
func sweep(cacheDir string, log func(string, ...any)) error {
	entries, err := filepath.Glob(filepath.Join(cacheDir, registerName, "lab-*"))
	if err != nil {
		return err
	}
	var failed []error
	for _, entry := range entries {
		if err := sweepEntry(entry, log); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func sweepEntry(entry string, log func(string, ...any)) error {
	file, err := os.Open(entry)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: sweep: %w", err)
	}
	defer file.Close()
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil // alive
	}
	content, err := os.ReadFile(entry)
	if errors.Is(err, os.ErrNotExist) {
		return nil // its own supervisor was faster
	}
	if err != nil {
		return fmt.Errorf("lab: sweep: %w", err)
	}
	dir := strings.TrimSpace(string(content))
	if dir == "" {
		return nil // being created at this moment, between file and lock
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
		log("remove %s, left by a killed run", dir)
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("lab: sweep: %w", err)
		}
	}
	return os.Remove(entry)
}
