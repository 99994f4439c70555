package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/guest"
)

// startTimeout bounds how long the lab's own processes may take to answer.
const startTimeout = 30 * time.Second

// Lab is one isolated world of networks and hosts. Its methods may be called from
// several goroutines, so that machines boot at the same time.
type Lab struct {
	opts  Options
	dir   string
	guest string // path of the guest program

	ctx    context.Context // ends when the lab is closed
	cancel context.CancelFunc

	supervisor *exec.Cmd
	alive      *os.File // the supervisor removes the lab when this closes
	dirFile    *os.File // open folder, for sockets with long paths
	world      *agent.Client
	wire       netns.NsHandle  // namespace of all bridges and their ports
	links      *netlink.Handle // rtnetlink in it

	mu       sync.Mutex // guards what follows, and use of links
	ports    int
	machines int
	names    map[string]bool
	closed   bool
	closeErr error
}

// New builds an empty lab. It needs root. Close it, or exit: both remove it.
func New(opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: root is needed for network namespaces: run the test as root")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := sweep(opts.CacheDir, opts.Log); err != nil {
		return nil, err
	}
	dir, err := opts.makeWorkDir()
	if err != nil {
		return nil, err
	}
	l := &Lab{opts: opts, dir: dir, names: make(map[string]bool), wire: netns.None()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if err := l.start(); err != nil {
		_ = l.Close()
		_ = os.RemoveAll(dir)
		return nil, err
	}
	l.log("ready in %s", dir)
	return l, nil
}

func (l *Lab) log(format string, args ...any) {
	l.opts.Log(l.opts.Name+": "+format, args...)
}

// Dir is the lab's folder: consoles, captures, disks. It goes with the lab.
func (l *Lab) Dir() string { return l.dir }

func (l *Lab) start() error {
	entry, err := register(l.opts.CacheDir, l.dir)
	if err != nil {
		return err
	}
	defer entry.Close()
	if l.guest, err = guestProgram(l.ctx, l.opts.CacheDir); err == nil {
		err = l.startSupervisor(entry)
	}
	if err != nil {
		_ = os.Remove(entry.Name())
		return err
	}
	if l.dirFile, err = os.Open(l.dir); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	l.world = agent.NewClient(l.unixDialer("world.sock"))
	if err := l.awaitAgent(l.world, "the lab's first process"); err != nil {
		return errors.Join(err, l.supervisorLog())
	}
	return l.openWire()
}

func (l *Lab) startSupervisor(entry *os.File) error {
	log, err := os.Create(filepath.Join(l.dir, "supervisor.log"))
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(l.guest, guest.RoleSupervise, l.dir, entry.Name())
	cmd.Stdin, cmd.Stderr = read, log
	cmd.ExtraFiles = []*os.File{entry}
	// A session of its own: Ctrl-C at the terminal ends the test, and the
	// supervisor then removes the lab.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return fmt.Errorf("lab: start the supervisor: %w", err)
	}
	l.supervisor, l.alive = cmd, write
	return nil
}

func (l *Lab) supervisorLog() error {
	content, err := os.ReadFile(filepath.Join(l.dir, "supervisor.log"))
	if len(content) > 0 {
		return fmt.Errorf("supervisor says: %s", content)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never had to say anything
	}
	return err
}

// openWire opens the namespace in which all bridges live.
func (l *Lab) openWire() error {
	pid, err := l.peerPID("world.sock")
	if err != nil {
		return err
	}
	if l.wire, err = netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		return fmt.Errorf("lab: open the wires' namespace: %w", err)
	}
	if l.links, err = netlink.NewHandleAt(l.wire, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("lab: rtnetlink in the wires' namespace: %w", err)
	}
	return nil
}

// unixDialer reaches a socket in the lab's folder. A socket's path may have 108
// bytes at most, so it goes through the open folder.
func (l *Lab) unixDialer(name string) agent.Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", l.dirFile.Fd(), name))
	}
}

// peerPID is the PID, as the test sees it, of the process that listens on a socket
// in the lab's folder.
func (l *Lab) peerPID(name string) (int, error) {
	conn, err := l.unixDialer(name)(l.ctx)
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	var credentials *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		credentials, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("lab: PID behind %s: %w", name, err)
	}
	return int(credentials.Pid), nil
}

// awaitAgent returns when the agent answers.
func (l *Lab) awaitAgent(client *agent.Client, who string) error {
	ctx, cancel := context.WithTimeout(l.ctx, startTimeout)
	defer cancel()
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: %s does not answer after %s: %w", who, startTimeout, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// claim reserves a name for a network or host.
func (l *Lab) claim(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("lab: it is closed")
	}
	if !validName(name) {
		return fmt.Errorf("lab: name %q: use 1 to 32 of a-z, 0-9 and -", name)
	}
	if l.names[name] {
		return fmt.Errorf("lab: name %q is taken: names of networks and hosts are unique in a lab", name)
	}
	l.names[name] = true
	return nil
}

func validName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 32
}

// Close ends all processes of the lab, and removes its namespaces and files. It
// may be called again and returns the same.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.closeErr
	}
	l.closed = true
	l.cancel()
	if l.links != nil {
		l.links.Close()
	}
	if l.wire.IsOpen() {
		_ = l.wire.Close()
	}
	if l.supervisor != nil {
		l.closeErr = l.endSupervisor()
	}
	if l.dirFile != nil {
		_ = l.dirFile.Close()
	}
	l.log("removed")
	return l.closeErr
}

func (l *Lab) endSupervisor() error {
	said := l.supervisorLog()
	_ = l.alive.Close()
	if err := l.supervisor.Wait(); err != nil {
		return fmt.Errorf("lab: remove: %w", errors.Join(err, said))
	}
	return nil
}
