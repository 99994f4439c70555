package model

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Proxy is the whole configuration of the layer 7 proxy.
type Proxy struct {
	// Generation numbers the configurations that an agent passes on; a higher one is newer.
	Generation uint64 `json:"generation,omitempty"`
	// Listeners are the addresses served.
	Listeners []Listener `json:"listeners,omitempty"`
	// Pools are the server pools that listeners and routes name.
	Pools []Pool `json:"pools,omitempty"`
	// Targets are the servers of Pools to be checked by the proxy.
	Targets []Target `json:"targets,omitempty"`
}

// Application is what a listener speaks.
type Application string

// Applications.
const (
	HTTP Application = "HTTP"
	// TCPStream passes connections through.
	TCPStream Application = "TCP"
)

// Algorithm chooses the server of a request or connection.
type Algorithm string

// Algorithms of layer 7; both respect weights.
const (
	L7RoundRobin      Algorithm = "RoundRobin"
	L7LeastConnection Algorithm = "LeastConnection"
)

// Listener is one address and port of a layer 7 service.
type Listener struct {
	// Name identifies the listener: namespace/balancer/service@address:port.
	Name string `json:"name"`
	// Service is the key of the virtual service: namespace/balancer/service.
	Service string `json:"service"`
	// Address is the virtual IP address and port.
	Address netip.AddrPort `json:"address"`
	// Application is what is spoken.
	Application Application `json:"application"`
	// TLS ends TLS; nil: clear.
	TLS *TLS `json:"tls,omitempty"`
	// Pool is the name of the default pool.
	Pool string `json:"pool"`
	// Algorithm chooses the server.
	Algorithm Algorithm `json:"algorithm"`
	// Cookie keeps a browser on one server; nil: no persistence.
	Cookie *Cookie `json:"cookie,omitempty"`
	// XForwardedFor sets X-Forwarded-For, -Proto and -Host.
	XForwardedFor bool `json:"xForwardedFor,omitempty"`
	// TrustedCIDRs are clients whose X-Forwarded-* headers are kept and added to; those of any
	// other client are replaced.
	TrustedCIDRs []netip.Prefix `json:"trustedCIDRs,omitempty"`
	// AcceptProxyProtocolFrom are peers whose connections must begin with a PROXY protocol header, which says who the
	// client is; from any other peer none is looked for.
	AcceptProxyProtocolFrom []netip.Prefix `json:"acceptProxyProtocolFrom,omitempty"`
	// Routes are tried in order; no match: Pool.
	Routes []Route `json:"routes,omitempty"`
}

// TLS ends TLS at a listener.
type TLS struct {
	// Certificates are chosen by server name (SNI); the first serves clients that match none.
	Certificates []Certificate `json:"certificates"`
	// MinVersion is the oldest version accepted, as crypto/tls numbers them.
	MinVersion uint16 `json:"minVersion"`
	// CipherSuites are those of TLS 1.2 that are accepted, as crypto/tls numbers them; empty: all
	// that are secure.
	CipherSuites []uint16 `json:"cipherSuites,omitempty"`
	// Clients verifies client certificates; nil: none is asked for.
	Clients *ClientCertificates `json:"clients,omitempty"`
}

// ClientCertificates verifies clients by their certificates.
type ClientCertificates struct {
	// Required refuses clients without a certificate; else one that is shown must be good.
	Required bool `json:"required,omitempty"`
	// CA holds the certificates of the authorities, PEM encoded.
	CA Bundle `json:"ca"`
	// CRL holds the revocation lists, PEM encoded or one in DER; nil: revocation is not looked at.
	CRL *Bundle `json:"crl,omitempty"`
}

// Bundle is public text from a Secret.
type Bundle struct {
	// Name is where it came from: namespace/secret.
	Name string `json:"name"`
	// Data is the text.
	Data []byte `json:"data"`
}

// Format implements fmt.Formatter: the name only.
func (b Bundle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "bundle "+b.Name) }

// Certificate is a certificate chain with its private key. It never prints the key.
type Certificate struct {
	// Name is where it came from: namespace/secret, or a file.
	Name string `json:"name"`
	// CertPEM is the chain, leaf first.
	CertPEM []byte `json:"certPEM"`
	// KeyPEM is the private key.
	KeyPEM []byte `json:"keyPEM,omitempty"`
}

// Format implements fmt.Formatter: the name only.
func (c Certificate) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "certificate "+c.Name) }

// MarshalLog implements logr.Marshaler: the name only.
func (c Certificate) MarshalLog() any { return "certificate " + c.Name }

// TicketSecretSize is the length of TicketSecret.Key, in bytes.
const TicketSecretSize = 32

// TicketSecret is what keys of TLS session tickets are made of. It never prints.
type TicketSecret struct {
	// Key is random.
	Key []byte `json:"key"`
	// Born is when it was made.
	Born time.Time `json:"born"`
}

// Equal tells whether two secrets are the same.
func (s TicketSecret) Equal(other TicketSecret) bool { return bytes.Equal(s.Key, other.Key) }

// Format implements fmt.Formatter: nothing of the secret.
func (s TicketSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "ticket secret") }

// Cookie is cookie insert persistence.
type Cookie struct {
	// Name is the cookie's name.
	Name string `json:"name"`
}

// Route sends some requests to another pool or changes them.
type Route struct {
	// Name is the route's name.
	Name string `json:"name"`
	// PathPrefixes are alternatives, compared by whole path elements.
	PathPrefixes []string `json:"pathPrefixes"`
	// Pool is the name of the pool.
	Pool string `json:"pool"`
	// RewritePrefix stands in place of the prefix that matched; nil: the path stays.
	RewritePrefix *string `json:"rewritePrefix,omitempty"`
	// SetRequestHeaders gives headers a value in place of any they had; after removal.
	SetRequestHeaders []Header `json:"setRequestHeaders,omitempty"`
	// RemoveRequestHeaders are names of headers taken away.
	RemoveRequestHeaders []string `json:"removeRequestHeaders,omitempty"`
}

// Header is a header with its value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Pool is a group of servers behind layer 7 services.
type Pool struct {
	// Name identifies the pool: namespace/balancer/pool.
	Name string `json:"name"`
	// Servers are the servers.
	Servers []PoolServer `json:"servers"`
	// ProxyProtocol is the version of the header that connections to the servers begin with; empty: none.
	ProxyProtocol ProxyProtocol `json:"proxyProtocol,omitempty"`
}

// ProxyProtocol is a version of the PROXY protocol (HAProxy, doc/proxy-protocol.txt).
type ProxyProtocol string

// Versions: 1 is a line of text, 2 is binary.
const (
	ProxyProtocolV1 ProxyProtocol = "V1"
	ProxyProtocolV2 ProxyProtocol = "V2"
)

// PoolServer is one server of a Pool. Its health target is TargetKey(Pool.Name, Name).
type PoolServer struct {
	// Name is the server's name in its pool.
	Name string `json:"name"`
	// Address is the server's address; port 0: the port the client came to.
	Address netip.AddrPort `json:"address"`
	// Weight is its share of new requests; 0: none.
	Weight int `json:"weight"`
}
