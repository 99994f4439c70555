package health

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// RunProgram runs an external check program; dataplane/health/external implements it. It waits for
// its turn without limit but ctx; Timeout counts from the program's start.
type RunProgram func(ctx context.Context, call ProgramCall) ProgramResult

// ProgramCall is what to run and against whom.
type ProgramCall struct {
	// Name is the file's name in the administrator's directory.
	Name string
	// Server is the server's address and port.
	Server  netip.AddrPort
	Timeout time.Duration
}

// ProgramResult is how a program ended.
type ProgramResult struct {
	// Exit is its exit status; it counts if Err is nil and TimedOut is false.
	Exit int
	// TimedOut: it was killed with its process group at the timeout.
	TimedOut bool
	// Output is the beginning of what it printed, at most 256 bytes of printable ASCII.
	Output string
	// Err is why it could not be run, or that a signal ended it.
	Err error
}

// Exit statuses of a program.
const (
	programPassed = 0
	programFailed = 1
)

// programName is what a program may be called: no path, no hidden file.
var programName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (e ExternalCheck) validate() error {
	if !programName.MatchString(e.Program) {
		return invalid("external.program %q must be a file name of a-z, 0-9, dot, underscore and minus that starts with a letter or digit, at most 63 characters", e.Program)
	}
	return nil
}

// programProber runs a program. Exit status 0 passes, 1 fails, and so does a program that does not
// end in time: one that waits for a hanging server looks like that. Any other end is the program's
// fault or ours and says nothing about the server.
type programProber struct {
	place
	check ExternalCheck
}

// ask is never called: a program opens its own connections.
func (p programProber) ask(context.Context, net.Conn) Result { return Result{} }

func (p programProber) run(ctx context.Context, run RunProgram) Result {
	if run == nil {
		return p.result(Inconclusive, InvalidCheck, "external checks are switched off on this balancer. Start it with the directory of check programs, or use another type of check.")
	}
	r := run(ctx, ProgramCall{Name: p.check.Program, Server: p.address, Timeout: p.timeout})
	said := ""
	if r.Output != "" {
		said = " It printed: " + strings.TrimSpace(r.Output)
	}
	switch {
	case r.TimedOut:
		return p.fail(ProgramTimeout, "the program did not end within %v and was killed. The service may hang; else raise timeoutSeconds.%s", p.timeout, said)
	case r.Err != nil:
		return p.result(Inconclusive, LocalFault, "the program could not be run (%v); the server's state is left as it was.", r.Err)
	case r.Exit == programPassed:
		return Result{}
	case r.Exit == programFailed:
		return p.fail(ProgramFailed, "the program found the server not working (exit status 1).%s", said)
	default:
		return p.result(Inconclusive, LocalFault, "the program ended with status %d, which means neither working (0) nor failed (1); "+
			"the server's state is left as it was. Mend the program.%s", r.Exit, said)
	}
}
