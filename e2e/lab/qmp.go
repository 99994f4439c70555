package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// qmp runs one command of QEMU's machine protocol
// (qemu: docs/interop/qmp-spec.txt) on a connection of its own.
func (m *Machine) qmp(ctx context.Context, command string, arguments any) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := m.lab.unixDialer(m.name + ".qmp")(ctx)
	if err != nil {
		return fmt.Errorf("QEMU's control socket: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline.Add(time.Second)); err != nil {
		return err
	}
	encoder, decoder := json.NewEncoder(conn), json.NewDecoder(conn)
	for _, request := range []qmpRequest{{Execute: "qmp_capabilities"}, {Execute: command, Arguments: arguments}} {
		if err := encoder.Encode(request); err != nil {
			return fmt.Errorf("QEMU: %s: %w", request.Execute, err)
		}
		if err := readReply(decoder); err != nil {
			return fmt.Errorf("QEMU: %s: %w", request.Execute, err)
		}
	}
	return nil
}

type qmpRequest struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Description string `json:"desc"`
	} `json:"error"`
}

// readReply passes over the greeting and events.
func readReply(decoder *json.Decoder) error {
	for {
		var reply qmpReply
		if err := decoder.Decode(&reply); err != nil {
			return err
		}
		if reply.Error != nil {
			return errors.New(reply.Error.Description)
		}
		if reply.Return != nil {
			return nil
		}
	}
}

// Cable pulls or plugs in the cable of an interface: the machine sees the carrier
// go or come, and its port on the network goes down or up. A pulled cable stays so
// through power failures.
func (m *Machine) Cable(ctx context.Context, nic string, up bool) error {
	if err := m.host.Cable(ctx, nic, up); err != nil {
		return err
	}
	m.mu.Lock()
	m.unplugged[nic] = !up
	m.mu.Unlock()
	if !m.On() {
		return nil
	}
	return m.carrier(ctx, nic, up)
}

func (m *Machine) carrier(ctx context.Context, nic string, up bool) error {
	for i, p := range m.ports {
		if p.nic.Name == nic {
			return m.qmp(ctx, "set_link", map[string]any{"name": nicID(i) + "-dev", "up": up})
		}
	}
	return fmt.Errorf("lab: %s has no interface %q", m.name, nic)
}

// restoreCables tells a new QEMU which cables are pulled.
func (m *Machine) restoreCables() error {
	m.mu.Lock()
	var pulled []string
	for nic, out := range m.unplugged {
		if out {
			pulled = append(pulled, nic)
		}
	}
	m.mu.Unlock()
	for _, nic := range pulled {
		if err := m.carrier(m.lab.ctx, nic, false); err != nil {
			return err
		}
	}
	return nil
}

// Freeze stops the machine's processors, as a hypervisor's snapshot does; its
// interfaces keep their carrier. Thaw lets it go on.
func (m *Machine) Freeze(ctx context.Context) error { return m.qmp(ctx, "stop", nil) }

// Thaw lets a frozen machine go on.
func (m *Machine) Thaw(ctx context.Context) error { return m.qmp(ctx, "cont", nil) }
