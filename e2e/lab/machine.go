package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/guest"
	"github.com/truepacs/balancer/e2e/lab/kernel"
)

// bootTimeout bounds the time from power-on to the agent's first answer where the
// caller's context has no end.
const bootTimeout = 5 * time.Minute

// MachineSpec describes a virtual machine. All fields but NICs may be left out.
type MachineSpec struct {
	NICs     []NIC
	MemoryMB int // MiB; default 512
	CPUs     int // default 1
	// Tools are programs of this machine, by name or path, that are put in with
	// their shared libraries. Busybox's commands and modprobe are always there.
	Tools []string
	// Files are put in before the boot: path in the machine to path here, of a file
	// or a folder. They come back as they were after each power-on.
	Files map[string]string
	// Modules are loaded before the machine answers. The kernel loads others on
	// demand, as on a real host.
	Modules []string
	// Disk is the size in MiB of an ext4 disk on /var/lib that outlives a
	// power-off; 0 for none. All else in the machine is memory.
	Disk int
	// RootDisk is the path of an ext4 image with a Debian system that is booted
	// with its own systemd; the machine works on a sparse copy, which outlives a
	// power-off. Tools, Files and Disk must then be empty. The machine answers
	// early in its boot: wait for "systemctl is-system-running --wait".
	RootDisk string
	// Off leaves the machine without power until PowerOn.
	Off bool
}

// ErrOff means that the machine has no power.
var ErrOff = errors.New("the machine has no power: call PowerOn")

// Machine is a host that is a virtual machine.
type Machine struct {
	host
	spec       MachineSpec
	kernel     kernel.Kernel
	management guest.Management
	tap        string // port on the management network

	mu        sync.Mutex // guards what follows
	qemu      *agent.Process
	power     context.Context // ends when QEMU does; nil before the first power-on
	unplugged map[string]bool // by interface name
}

var _ Host = (*Machine)(nil)

// Machine makes a virtual machine, boots it and returns when it answers.
func (l *Lab) Machine(name string, spec MachineSpec) (*Machine, error) {
	m, err := l.newMachine(name, spec)
	if err != nil {
		return nil, fmt.Errorf("lab: machine %s: %w", name, err)
	}
	if spec.Off {
		return m, nil
	}
	return m, m.PowerOn(l.ctx)
}

func (s MachineSpec) withDefaults() (MachineSpec, error) {
	if s.MemoryMB == 0 {
		s.MemoryMB = 512
	}
	if s.CPUs == 0 {
		s.CPUs = 1
	}
	if s.RootDisk != "" && (len(s.Tools) > 0 || len(s.Files) > 0 || s.Disk > 0) {
		return s, errors.New("fields Tools, Files and Disk do not go with RootDisk: put them into the image, or use Put")
	}
	return s, nil
}

func (l *Lab) newMachine(name string, spec MachineSpec) (*Machine, error) {
	spec, err := spec.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := l.claim(name); err != nil {
		return nil, err
	}
	m := &Machine{host: host{lab: l, name: name}, spec: spec, unplugged: make(map[string]bool)}
	m.client = agent.NewClient(m.dialAgent)
	if m.kernel, err = kernel.Prepare(l.ctx, l.opts.CacheDir); err != nil {
		return nil, err
	}
	if m.ports, err = l.plan(spec.NICs); err != nil {
		return nil, err
	}
	if err := l.connectMachine(m); err != nil {
		return nil, err
	}
	if err := m.writeInitramfs(); err != nil {
		return nil, err
	}
	return m, m.makeDisks()
}

// dialAgent reaches the agent over the management network. The connection ends
// with the machine's power, of which TCP itself would not hear for minutes.
func (m *Machine) dialAgent(ctx context.Context) (net.Conn, error) {
	m.mu.Lock()
	power := m.power
	m.mu.Unlock()
	if power == nil || power.Err() != nil {
		return nil, ErrOff
	}
	address := net.JoinHostPort(m.management.Address.Addr().String(), strconv.Itoa(guest.ManagementPort))
	var conn net.Conn
	err := within(m.lab.wire, func() error {
		dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: -1}
		dialer.SetMultipathTCP(false)
		var err error
		conn, err = dialer.DialContext(ctx, "tcp4", address)
		return err
	})
	if err != nil {
		return nil, err
	}
	powered := &poweredConn{TCPConn: conn.(*net.TCPConn)}
	powered.stop = context.AfterFunc(power, func() { _ = conn.Close() })
	return powered, nil
}

// poweredConn is a connection that is closed when the machine loses its power.
type poweredConn struct {
	*net.TCPConn
	stop func() bool
}

func (c *poweredConn) Close() error {
	c.stop()
	return c.TCPConn.Close()
}

// On says whether the machine has power.
func (m *Machine) On() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.power != nil && m.power.Err() == nil
}

// PowerOn starts the machine and returns when it answers. Nothing happens when it
// has power already.
func (m *Machine) PowerOn(ctx context.Context) error {
	if m.On() {
		return nil
	}
	begin := time.Now()
	qemu, err := m.startQEMU()
	if err != nil {
		return fmt.Errorf("lab: machine %s: %w", m.name, err)
	}
	if err := m.await(ctx, qemu); err != nil {
		return fmt.Errorf("lab: machine %s: %w; end of its console:\n%s", m.name, err, tail(m.Console(), 2000))
	}
	// The machine's own clock chip has whole seconds only, and booting takes some.
	if err := m.client.SetClock(ctx); err != nil {
		return fmt.Errorf("lab: machine %s: %w", m.name, err)
	}
	if err := m.restoreCables(); err != nil {
		return fmt.Errorf("lab: machine %s: %w", m.name, err)
	}
	m.lab.log("machine %s answers after %.1f s", m.name, time.Since(begin).Seconds())
	return nil
}

// startQEMU starts the process; its end is the end of the machine's power.
func (m *Machine) startQEMU() (*agent.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	console, err := os.OpenFile(m.file("qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_ = os.Remove(m.file("qmp"))
	m.qemu, err = m.lab.world.Start(m.lab.ctx, agent.Spec{Argv: m.arguments(), Dir: m.lab.dir, Stdout: console, Stderr: console})
	if err != nil {
		_ = console.Close()
		return nil, err
	}
	qemu := m.qemu
	power, lost := context.WithCancel(context.Background())
	m.power = power
	go func() {
		<-qemu.Done()
		lost()
		_ = console.Close()
	}()
	return qemu, nil
}

// await returns when the agent answers.
func (m *Machine) await(ctx context.Context, qemu *agent.Process) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		err := m.client.Ping(attempt)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-qemu.Done():
			content, _ := os.ReadFile(m.file("qemu.log"))
			return fmt.Errorf("QEMU ended before the machine answered: %s", tail(string(content), 1000))
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(text string, size int) string {
	if len(text) > size {
		return text[len(text)-size:]
	}
	return text
}

// PowerOff takes the power away: QEMU is killed, nothing is flushed or told. The
// disks keep what the machine had written to them.
func (m *Machine) PowerOff() error {
	if !m.On() {
		return nil
	}
	m.mu.Lock()
	qemu, power := m.qemu, m.power
	m.mu.Unlock()
	if err := qemu.Kill(); err != nil {
		return fmt.Errorf("lab: machine %s: %w", m.name, err)
	}
	<-power.Done()
	m.lab.log("machine %s has lost its power", m.name)
	return nil
}

// Reset takes the power away and gives it back.
func (m *Machine) Reset(ctx context.Context) error {
	if err := m.PowerOff(); err != nil {
		return err
	}
	return m.PowerOn(ctx)
}

// Console is what the machine has written to its serial port since it was made.
func (m *Machine) Console() string {
	content, err := os.ReadFile(m.file("console"))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(content, []byte("\r"), nil))
}

// Kernel is the release of the kernel the machine runs.
func (m *Machine) Kernel() string { return m.kernel.Release }

// Dial opens a connection from within the machine, through its agent.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := m.client.Dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", m.name, err)
	}
	return conn, nil
}

// file is the path of one of the machine's files in the lab's folder.
func (m *Machine) file(kind string) string {
	return filepath.Join(m.lab.dir, m.name+"."+kind)
}

// managementAddress is the n-th machine's address on the management network.
func managementAddress(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, byte(n / 250), byte(n%250 + 2)}), 16)
}
