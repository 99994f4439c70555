package l7

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync/atomic"

	"github.com/truepacs/balancer/dataplane/proxyproto"
)

// ServerKey names a server of a pool.
type ServerKey struct{ Pool, Server string }

// server is what the engine knows of a server. It lives for as long as configurations hold the
// same pool, name and address, and serves its open connections beyond that.
type server struct {
	key     ServerKey
	addr    netip.AddrPort
	token   token
	healthy atomic.Bool

	current atomic.Int64 // requests or TCP connections in progress; all loops choose by it
	cells   [shards]serverCounters
}

// serverCounters are what one shard has counted. It fills a cache line, so that loops do not wait for each other.
type serverCounters struct {
	dialled, requests, errors atomic.Int64
	_                         [40]byte
}

func newServer(key ServerKey, addr netip.AddrPort, healthy bool) *server {
	s := &server{key: key, addr: addr, token: tokenOf(key)}
	s.healthy.Store(healthy)
	return s
}

// token is the value of a persistence cookie.
type token [16]byte

// tokenOf derives a server's token from the names of pool and server: equal on every director
// and after each restart, and without the address, which is nobody's business outside.
func tokenOf(key ServerKey) (t token) {
	sum := sha256.Sum256([]byte("truepacs server\x00" + key.Pool + "\x00" + key.Server))
	hex.Encode(t[:], sum[:len(t)/2])
	return t
}

// endpoint is a server at the port that a listener's clients come to, and what it wants to be told of them.
type endpoint struct {
	*server
	to      netip.AddrPort
	preface proxyproto.Version // of the header that connections to it begin with; 0: none
	idle    []idle             // by loop
}

// endpointKey tells endpoints apart.
type endpointKey struct {
	server  *server
	port    uint16
	preface proxyproto.Version
}

func newEndpoint(key endpointKey, loops int) *endpoint {
	return &endpoint{
		server: key.server, to: netip.AddrPortFrom(key.server.addr.Addr(), key.port), preface: key.preface, idle: make([]idle, loops),
	}
}
