package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// drainDelay is how long output is still read after a command has ended while a
// background child of it holds the pipe open.
const drainDelay = 500 * time.Millisecond

// isolation is the set of namespaces that a lab host gets.
const isolation = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID

// command is one running process and the connection that watches it.
type command struct {
	reaper *reaper
	conn   net.Conn
	write  sync.Mutex // frames of stdout and stderr must not mix
	pid    int
	exited <-chan syscall.WaitStatus
	stdin  *os.File // nil when the command reads nothing
}

func (s *Server) run(conn net.Conn, request Request) error {
	c := &command{reaper: s.reaper, conn: conn}
	stdout, stderr, err := c.start(request)
	if err != nil {
		return err
	}
	if err := c.sendJSON(kindStarted, started{PID: c.pid}); err != nil {
		_ = c.reaper.signal(c.pid, syscall.SIGKILL, true)
	}
	var output sync.WaitGroup
	output.Go(func() { c.pump(kindStdout, stdout) })
	output.Go(func() { c.pump(kindStderr, stderr) })
	go c.obey()
	status := <-c.exited
	c.drain(&output, stdout, stderr)
	return c.sendJSON(kindExit, exitOf(status))
}

// pipes are the three descriptors of the child and our ends of them.
type pipes struct {
	child [3]*os.File
	ours  [3]*os.File
}

func (p *pipes) close(files [3]*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}

func openPipes(stdin bool) (*pipes, error) {
	p := &pipes{}
	var err error
	if stdin {
		p.child[0], p.ours[0], err = os.Pipe()
	} else {
		p.child[0], err = os.Open(os.DevNull)
	}
	for i := 1; i < 3 && err == nil; i++ {
		p.ours[i], p.child[i], err = os.Pipe()
	}
	if err != nil {
		p.close(p.child)
		p.close(p.ours)
		return nil, err
	}
	return p, nil
}

func (c *command) start(request Request) (stdout, stderr *os.File, err error) {
	if len(request.Argv) == 0 {
		return nil, nil, fmt.Errorf("run: no command given")
	}
	path, err := exec.LookPath(request.Argv[0])
	if err != nil {
		return nil, nil, fmt.Errorf("run: %w: put the program into the host first (Tools, Files or Put)", err)
	}
	p, err := openPipes(request.Stdin)
	if err != nil {
		return nil, nil, fmt.Errorf("run %s: %w", request.Argv[0], err)
	}
	attr := &syscall.ProcAttr{
		Dir:   request.Dir,
		Env:   append(os.Environ(), request.Env...),
		Files: []uintptr{p.child[0].Fd(), p.child[1].Fd(), p.child[2].Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if request.Isolate {
		attr.Sys.Cloneflags = isolation
	}
	c.pid, c.exited, err = c.reaper.start(path, request.Argv, attr)
	p.close(p.child)
	if err != nil {
		p.close(p.ours)
		return nil, nil, fmt.Errorf("run %s: %w", request.Argv[0], err)
	}
	c.stdin = p.ours[0]
	return p.ours[1], p.ours[2], nil
}

func (c *command) sendJSON(k kind, value any) error {
	c.write.Lock()
	defer c.write.Unlock()
	return writeJSON(c.conn, k, value)
}

// pump copies one output to the client. When the client is gone it goes on
// reading, so that the command is not stuck in write before it is killed.
func (c *command) pump(k kind, from *os.File) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			c.write.Lock()
			_ = writeFrame(c.conn, k, buffer[:n])
			c.write.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// obey follows the client's frames; when the client goes away it kills the command.
func (c *command) obey() {
	defer func() { _ = c.reaper.signal(c.pid, syscall.SIGKILL, true) }()
	if c.stdin != nil {
		defer c.stdin.Close()
	}
	buffer := make([]byte, maxFrame)
	for {
		k, payload, err := readFrame(c.conn, buffer)
		if err != nil {
			return
		}
		switch k {
		case kindStdin:
			c.feed(payload)
		case kindSignal:
			c.signal(payload)
		}
	}
}

func (c *command) feed(payload []byte) {
	if c.stdin == nil {
		return
	}
	if len(payload) == 0 {
		_ = c.stdin.Close()
		return
	}
	_, _ = c.stdin.Write(payload)
}

func (c *command) signal(payload []byte) {
	var request signalRequest
	if json.Unmarshal(payload, &request) == nil {
		_ = c.reaper.signal(c.pid, syscall.Signal(request.Number), request.Group)
	}
}

func (c *command) drain(output *sync.WaitGroup, files ...*os.File) {
	done := make(chan struct{})
	go func() { output.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainDelay):
	}
	for _, file := range files {
		_ = file.Close()
	}
	<-done
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: int(status.Signal())}
	}
	return Exit{Code: status.ExitStatus()}
}
