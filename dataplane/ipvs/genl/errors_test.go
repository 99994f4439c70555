package genl

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMeaningOfNumbers: an error is what it means and the kernel's number both, and says so.
func TestMeaningOfNumbers(t *testing.T) {
	tests := map[string]struct {
		command Command
		errno   unix.Errno
		want    error
		says    string
	}{
		"service exists":     {NewService, unix.EEXIST, ErrExists, "add service"},
		"no service":         {NewDest, unix.ESRCH, ErrNoService, "no such service"},
		"no daemon":          {delDaemon, unix.ESRCH, ErrNoDaemon, "daemon"},
		"no scheduler":       {NewService, unix.ENOENT, ErrNoScheduler, "modprobe ip_vs_NAME"},
		"no scheduler, set":  {SetService, unix.ENOENT, ErrNoScheduler, "modprobe ip_vs_NAME"},
		"no destination":     {SetDest, unix.ENOENT, ErrNoDestination, "no such destination"},
		"no family":          {lookUpFamily, unix.ENOENT, ErrNoModule, "modprobe ip_vs`"},
		"no family in a get": {getService, unix.ENOENT, ErrNoModule, "modprobe ip_vs`"},
		"going away":         {NewService, unix.ENOPROTOOPT, ErrNoModule, "modprobe"},
		"right":              {getConfig, unix.EPERM, ErrPermission, "NET_ADMIN"},
		"access":             {getConfig, unix.EACCES, ErrPermission, "NET_ADMIN"},
		"IPv6":               {NewService, unix.EAFNOSUPPORT, ErrNoFamily, "IPv6"},
		"invalid service":    {NewService, unix.EINVAL, ErrInvalid, "prefix length"},
		"invalid server":     {NewDest, unix.EINVAL, ErrInvalid, "unicast"},
		"invalid daemon":     {newDaemon, unix.EINVAL, ErrInvalid, "group"},
		"range":              {NewDest, unix.ERANGE, ErrInvalid, "threshold"},
		"interface":          {newDaemon, unix.ENODEV, ErrNoInterface, "interface"},
		"old kernel":         {getInfo, unix.EOPNOTSUPP, ErrUnsupported, "too old"},
		"memory":             {NewService, unix.ENOMEM, ErrMemory, "memory"},
		"space":              {getService, unix.ENOBUFS, ErrOverrun, "buffer"},
		"again":              {getService, unix.EAGAIN, ErrTimeout, "in time"},
		"something else":     {NewService, unix.EIO, nil, "input/output error"},
	}
	for name, tc := range tests {
		err := error(&Error{Command: tc.command, Subject: "X", Errno: tc.errno, Kind: meaning(tc.command, tc.errno)})
		if tc.want != nil && !errors.Is(err, tc.want) || !errors.Is(err, tc.errno) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		for _, other := range []error{ErrExists, ErrNoService, ErrNoModule, ErrInterrupted, ErrTimeout, ErrPermission} {
			if other != tc.want && errors.Is(err, other) {
				t.Errorf("%s is also %v", name, other)
			}
		}
	}
}

// TestNamesForMessages: what a person reads.
func TestNamesForMessages(t *testing.T) {
	s := Service{ServiceID: ByAddress(UDP, mustPort("192.0.2.1:5060")), Scheduler: "sh", Engine: "sip",
		Flags: FlagPersistent | FlagPort | 0x40, TimeoutSeconds: 60, PrefixLength: 24}
	d := Destination{Address: mustPort("[2001:db8::1]:0"), Forward: Tunnel, Weight: 3, UpperThreshold: 9, Tunnel: TunnelSettings{Type: GUE, Port: 6080}}
	for got, want := range map[string]string{
		s.String():                     "UDP 192.0.2.1:5060 sh persistent,port,0x40 60s /24 engine sip",
		d.String():                     "[2001:db8::1]:0 Tunnel weight 3 gue port 6080 flags 0x0 thresholds 9/0",
		ByMark(16, true).String():      "firewall mark 0x10 (IPv6)",
		Change{SetDest, s, d}.String(): "change destination [2001:db8::1]:0 of UDP 192.0.2.1:5060",
		Protocol(1).String():           "protocol 1",
		Command(77).String():           "unknown command",
		Daemon{Role: Master, Interface: "eth0", Group: mustPort("224.0.0.81:0").Addr(), Port: 8848, TTL: 1, MaxLength: 1472}.String(): "master on eth0, ID 0, group 224.0.0.81 port 8848, TTL 1, at most 1472 bytes",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
