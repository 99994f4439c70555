package peers

import (
	"fmt"
	"net/netip"
	"runtime"
)

// Program is a front program.
type Program string

// Programs.
const (
	// TruePACS is the shipped binary as `truepacs run`, agent and proxy.
	TruePACS Program = "truepacs"
	// HAProxy is Debian's.
	HAProxy Program = "haproxy"
	// NGINX is Debian's.
	NGINX Program = "nginx"
	// NetHTTP is httputil.ReverseProxy; it has no TCP listeners.
	NetHTTP Program = "net/http"
)

// Protocol is what a listener speaks.
type Protocol string

// Protocols.
const (
	TCP  Protocol = "TCP"
	HTTP Protocol = "HTTP"
	// HTTPS is TLS with whatever ALPN (RFC 7301) the program has: h2 and http/1.1.
	HTTPS Protocol = "HTTPS"
)

// Front is what every program is to be.
type Front struct {
	// Address is where the listeners are. Where Interface is set, the address is added to it: by
	// TruePACS itself, for the others by Start.
	Address   netip.Addr
	Interface string
	Listeners []Listener
	// Threads that carry traffic; 0: one for each core, the default of TruePACS.
	Threads int
	// Splice has HAProxy move content by splice(2), which is off there by default. TruePACS always does, the
	// others cannot.
	Splice bool
}

// Listener is a service.
type Listener struct {
	// Name is unique, in lower case.
	Name     string
	Port     uint16
	Protocol Protocol
	// Certificate and Key are PEM files, for HTTPS.
	Certificate, Key string
	// Servers speak TCP or HTTP in clear. Each is checked: TCP by connecting, HTTP by GET of CheckPath (absent: /),
	// which must answer 200.
	Servers   []netip.AddrPort
	CheckPath string
}

// withDefaults applies what is absent.
func (f Front) withDefaults() Front {
	if f.Threads == 0 {
		f.Threads = runtime.NumCPU()
	}
	listeners := make([]Listener, len(f.Listeners))
	for i, l := range f.Listeners {
		if l.CheckPath == "" {
			l.CheckPath = "/"
		}
		listeners[i] = l
	}
	f.Listeners = listeners
	return f
}

// listener finds one by its name.
func (f Front) listener(name string) (Listener, error) {
	for _, l := range f.Listeners {
		if l.Name == name {
			return l, nil
		}
	}
	return Listener{}, fmt.Errorf("the front has no listener %q", name)
}
