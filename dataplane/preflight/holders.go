package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// searches is how often it is looked for the program of a socket at most: one that is not found is
// behind a wall.
const searches = 3

// Holders remembers the programs that hold sockets, across calls of Host.Sockets, which come one after
// the other. The zero value is ready.
type Holders struct {
	known map[uint32]holder // by inode
}

// holder is who holds a socket; looked is how often nobody was found.
type holder struct {
	program string
	own     bool
	looked  int
}

// name completes sockets with their programs, as far as this process may look: first its own, which
// are the most, then what it remembers; only for others all processes are looked through.
func (h *Holders) name(out []Socket, wanted map[uint32]int, procfs string) {
	known := make(map[uint32]holder, len(wanted))
	for inode := range wanted {
		if before, there := h.known[inode]; there {
			known[inode] = before
		}
	}
	missing := func() map[uint32]bool {
		left := map[uint32]bool{}
		for inode := range wanted {
			if at := known[inode]; at.program == "" && at.looked < searches {
				left[inode] = true
			}
		}
		return left
	}
	look(filepath.Join(procfs, "self", "fd", "*"), missing(), func(inode uint32, program string) {
		known[inode] = holder{program: program, own: true}
	})
	if left := missing(); len(left) > 0 {
		look(filepath.Join(procfs, "[0-9]*", "fd", "*"), left, func(inode uint32, program string) {
			known[inode] = holder{program: program, own: program == "truepacs"}
		})
		for inode := range left {
			if at := known[inode]; at.program == "" {
				known[inode] = holder{looked: at.looked + 1}
			}
		}
	}
	for inode, at := range wanted {
		out[at].Program, out[at].Own = known[inode].program, known[inode].own
	}
	h.known = known
}

// look finds sockets among the files of processes; found is called once for each.
func look(pattern string, wanted map[uint32]bool, found func(inode uint32, program string)) {
	if len(wanted) == 0 {
		return
	}
	links, err := filepath.Glob(pattern)
	if err != nil {
		return
	}
	seen := map[uint32]bool{}
	for _, link := range links {
		target, err := os.Readlink(link)
		var inode uint32
		if err != nil || !strings.HasPrefix(target, "socket:[") {
			continue
		}
		if _, err := fmt.Sscanf(target, "socket:[%d]", &inode); err != nil || !wanted[inode] || seen[inode] {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "comm"))
		if program := strings.TrimSpace(string(comm)); err == nil && program != "" {
			seen[inode] = true
			found(inode, program)
		}
		if len(seen) == len(wanted) {
			return
		}
	}
}
