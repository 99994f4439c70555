package genl

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// What can go wrong. Errors that the kernel answers with are an *Error and match both one of
// these and the kernel's number (unix.ESRCH and so on) with errors.Is.
var (
	// ErrExists: the service, destination or daemon is there already (EEXIST).
	ErrExists = errors.New("it exists already")
	// ErrNoService: there is no such service (ESRCH).
	ErrNoService = errors.New("there is no such service")
	// ErrNoDestination: the service has no such destination (ENOENT).
	ErrNoDestination = errors.New("the service has no such destination")
	// ErrNoScheduler: the scheduler or the persistence engine has no module (ENOENT).
	ErrNoScheduler = errors.New("the kernel has no such scheduler or persistence engine: load the module with `modprobe ip_vs_NAME` and add it to /etc/modules-load.d")
	// ErrNoDaemon: no such synchronisation daemon is running (ESRCH).
	ErrNoDaemon = errors.New("no such synchronisation daemon is running")
	// ErrNoInterface: the interface of a daemon does not exist (ENODEV).
	ErrNoInterface = errors.New("there is no such network interface")
	// ErrNoModule: the kernel has no IPVS, now or at all.
	ErrNoModule = errors.New("the kernel module ip_vs is not loaded: load it with `modprobe ip_vs` and add it to /etc/modules-load.d")
	// ErrPermission: EPERM or EACCES.
	ErrPermission = errors.New("the right to programme IPVS is missing: the program needs the capability NET_ADMIN in the host's own user namespace")
	// ErrNoFamily: EAFNOSUPPORT.
	ErrNoFamily = errors.New("IPVS of this kernel does not do IPv6: enable IPv6 or take an IPv4 address")
	// ErrInvalid: the kernel takes no such value (EINVAL, ERANGE), or the package refused to send it.
	ErrInvalid = errors.New("a value is not valid")
	// ErrUnsupported: the kernel does not know the command (EOPNOTSUPP).
	ErrUnsupported = errors.New("this kernel's IPVS is too old for this command")
	// ErrMemory: ENOMEM.
	ErrMemory = errors.New("the kernel is out of memory: free memory on this host and try again")

	// ErrInterrupted: others changed IPVS while a list was read, several times over. The list
	// would not be the truth; try again.
	ErrInterrupted = errors.New("other programs changed IPVS while it was read: try again")
	// ErrOverrun: the kernel threw answers away (ENOBUFS). Whether the requests were carried out
	// is not known: read the state and compare.
	ErrOverrun = errors.New("the kernel dropped answers for want of buffer space: read the state again")
	// ErrTimeout: no answer in time. Whether the request was carried out is not known.
	ErrTimeout = errors.New("the kernel did not answer in time: read the state again")
	// ErrAnswer: an answer that makes no sense.
	ErrAnswer = errors.New("an answer of the kernel could not be understood")
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("the client is closed")
)

// Error is the kernel's refusal of a request.
type Error struct {
	// Command is what was asked for, Subject the service and destination, or empty.
	Command Command
	Subject string
	// Errno is the kernel's answer.
	Errno unix.Errno
	// Text is what the kernel says beyond the number; mostly empty.
	Text string
	// Kind is what the answer means: one of the package's errors, or nil.
	Kind error
}

// Refusal returns the error of a kernel that answers a change with a number. It is for fakes.
func Refusal(c Change, errno unix.Errno) *Error {
	return &Error{Command: c.Command, Subject: c.subject(), Errno: errno, Kind: meaning(c.Command, errno)}
}

// Error says what was refused, why, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("ipvs: " + e.Command.String())
	if e.Subject != "" {
		b.WriteString(" " + e.Subject)
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if hint := hint(e.Command, e.Errno); hint != "" {
		b.WriteString(": " + hint)
	}
	fmt.Fprintf(&b, " (%s", e.Errno)
	if e.Text != "" {
		b.WriteString("; " + e.Text)
	}
	return b.String() + ")"
}

// Unwrap returns the meaning and the number.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Errno}
	}
	return []error{e.Kind, e.Errno}
}

// meaning says what a number means as the answer to a command (net/netfilter/ipvs/ip_vs_ctl.c and
// ip_vs_sync.c).
func meaning(command Command, errno unix.Errno) error {
	switch errno {
	case unix.EEXIST:
		return ErrExists
	case unix.ESRCH:
		if command == delDaemon {
			return ErrNoDaemon
		}
		return ErrNoService
	case unix.ENOENT:
		return missing(command)
	case unix.ENOPROTOOPT, unix.EPROTONOSUPPORT:
		return ErrNoModule
	case unix.EPERM, unix.EACCES:
		return ErrPermission
	case unix.EAFNOSUPPORT:
		return ErrNoFamily
	case unix.EINVAL, unix.ERANGE, unix.EMSGSIZE:
		return ErrInvalid
	}
	return scarce(errno)
}

func scarce(errno unix.Errno) error {
	switch errno {
	case unix.ENODEV:
		return ErrNoInterface
	case unix.EOPNOTSUPP:
		return ErrUnsupported
	case unix.ENOMEM:
		return ErrMemory
	case unix.ENOBUFS:
		return ErrOverrun
	case unix.EAGAIN, unix.ETIMEDOUT:
		return ErrTimeout
	}
	return nil
}

func missing(command Command) error {
	switch command {
	case NewService, SetService:
		return ErrNoScheduler
	case NewDest, SetDest, DelDest:
		return ErrNoDestination
	}
	return ErrNoModule
}

// hint tells what the kernel may have meant by an answer that has many causes.
func hint(command Command, errno unix.Errno) string {
	switch {
	case errno == unix.EINVAL && (command == NewService || command == SetService):
		return "check the prefix length and what the scheduler takes"
	case errno == unix.EINVAL && (command == NewDest || command == SetDest):
		return "a server needs a unicast address that is not link-local, GUE needs a port, and a server of the other " +
			"address family needs tunnelling and no synchronisation daemon"
	case errno == unix.EINVAL && command == newDaemon:
		return "check the interface and the group; servers of another address family than their service exclude a daemon"
	case errno == unix.ERANGE:
		return "the lower threshold must not be above the upper one, the weight not negative"
	}
	return ""
}
