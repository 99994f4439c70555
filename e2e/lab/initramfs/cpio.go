// Package initramfs composes the first file system of a lab machine: files of the
// machine it runs on, programs with their shared libraries, and generated content,
// written as an uncompressed cpio archive ("newc", the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst).
//
// It imports the standard library only.
package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// File type bits of a cpio header, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

// archive writes cpio entries.
type archive struct {
	w     *bufio.Writer
	inode int
	size  int64
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20)}
}

// entry writes a header and name, then size bytes from content, each padded to
// four bytes.
func (a *archive) entry(name string, mode uint32, size int64, content io.Reader) error {
	a.inode++
	links := 1
	if mode&typeDir != 0 && mode&typeRegular != typeRegular {
		links = 2
	}
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0)
	if err := a.text(header + name + "\x00"); err != nil {
		return err
	}
	n, err := io.Copy(a.w, content)
	a.size += n
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	if n != size {
		return fmt.Errorf("archive %s: it has %d bytes where %d were announced: did it change?", name, n, size)
	}
	return a.text("")
}

func (a *archive) text(s string) error {
	n, err := a.w.WriteString(s)
	a.size += int64(n)
	if err != nil {
		return err
	}
	padding := (4 - a.size%4) % 4
	_, err = a.w.WriteString("\x00\x00\x00\x00"[:padding])
	a.size += padding
	return err
}

func (a *archive) close() error {
	if err := a.entry("TRAILER!!!", 0, 0, strings.NewReader("")); err != nil {
		return err
	}
	return a.w.Flush()
}
