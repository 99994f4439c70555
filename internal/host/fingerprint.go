package host

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fingerprint tells whether something changed below a folder, without reading the files: names,
// sizes, times and inodes.
func fingerprint(dir string) (string, error) {
	h := fnv.New64a()
	// Files in subfolders do not count; WalkDir is told to skip them.
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != dir {
			return fs.SkipDir
		}
		info, err := os.Stat(path) // follows links: the target may change
		if err != nil {
			return err
		}
		fmt.Fprintln(h, entry.Name(), info.Size(), info.ModTime().UnixNano(), inode(info))
		return nil
	})
	return fmt.Sprintf("%016x", h.Sum64()), err
}

func inode(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Dev, s.Ino)
	}
	return ""
}
