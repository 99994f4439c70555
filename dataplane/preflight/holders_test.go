package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// program is a process in a folder that stands in for /proc.
func program(t *testing.T, proc, pid, comm string, inodes ...uint32) {
	t.Helper()
	dir := filepath.Join(proc, pid, "fd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(comm+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, inode := range inodes {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(dir, fmt.Sprint(inode))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHoldersOfSockets(t *testing.T) {
	proc, h := t.TempDir(), &Holders{}
	program(t, proc, "self", "truepacs", 1)
	program(t, proc, "7", "nginx", 2)
	name := func(inodes ...uint32) []Socket {
		wanted := map[uint32]int{}
		for i, inode := range inodes {
			wanted[inode] = i
		}
		out := make([]Socket, len(inodes))
		h.name(out, wanted, proc)
		return out
	}
	want := func(got Socket, program string, own bool) {
		t.Helper()
		if got.Program != program || got.Own != own {
			t.Errorf("%+v, want %q, own %v", got, program, own)
		}
	}
	got := name(1, 2, 3)
	want(got[0], "truepacs", true)
	want(got[1], "nginx", false)
	want(got[2], "", false)
	// What is known is not looked for again, also if nobody can be asked any more.
	if err := os.RemoveAll(proc); err != nil {
		t.Fatal(err)
	}
	got = name(1, 2)
	want(got[0], "truepacs", true)
	want(got[1], "nginx", false)
	name() // both are closed; their numbers may be another's
	want(name(2)[0], "", false)
	program(t, proc, "8", "httpd", 2)
	want(name(2)[0], "httpd", false)
	// Own sockets do not make it look through other processes, and one that nobody has does not for ever.
	program(t, proc, "self", "truepacs", 4)
	for range searches {
		name(4, 5)
	}
	program(t, proc, "9", "late", 4, 5)
	got = name(4, 5)
	want(got[0], "truepacs", true)
	want(got[1], "", false)
}
