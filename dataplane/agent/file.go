package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// replaceFile writes a file so that after a crash at any point either the old or the new
// content is there, never a part: write aside, fsync, rename, fsync the directory. Only the
// owner may read it.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	defer dir.Close()
	return dir.Sync()
}
