package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// Question is who comes to what.
type Question struct {
	// Client is the client's address and port; port 0: not known.
	Client netip.AddrPort `json:"client"`
	// To is the virtual IP address and port.
	To netip.AddrPort `json:"to"`
	// Protocol is the transport protocol.
	Protocol model.Protocol `json:"protocol"`
	// Path is the path of an HTTP request, as it stands in the request; empty: /.
	Path string `json:"path,omitempty"`
}

var errFamilies = errors.New("client and virtual IP are of different families: write both as IPv4 or both as IPv6")

// Ask makes a question of what a person writes: client as ADDRESS or ADDRESS:PORT, to as
// ADDRESS:PORT, protocol TCP, UDP or empty for TCP, target a URL or a path or empty.
func Ask(client, to, protocol, target string) (Question, error) {
	var q Question
	var err error
	if q.Client, err = clientOf(client); err != nil {
		return q, err
	}
	if q.To, err = netip.ParseAddrPort(to); err != nil || q.To.Port() == 0 {
		return q, fmt.Errorf("virtual IP %q: write ADDRESS:PORT, for IPv6 [ADDRESS]:PORT", to)
	}
	q.To = netip.AddrPortFrom(q.To.Addr().Unmap(), q.To.Port())
	if q.To.Addr().Is4() != q.Client.Addr().Is4() {
		return q, errFamilies
	}
	switch q.Protocol = model.Protocol(strings.ToUpper(protocol)); q.Protocol {
	case "":
		q.Protocol = model.TCP
	case model.TCP, model.UDP:
	default:
		return q, fmt.Errorf("protocol %q: write TCP or UDP", protocol)
	}
	q.Path, err = pathOf(target)
	return q, err
}

func clientOf(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a.Unmap(), 0), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Addr().Zone() != "" {
		return a, fmt.Errorf("client %q: write ADDRESS or ADDRESS:PORT, for IPv6 [ADDRESS]:PORT", text)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func pathOf(target string) (string, error) {
	if target == "" || strings.HasPrefix(target, "/") {
		return target, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("URL %q: write a path that begins with /, or https://HOST/PATH", target)
	}
	return u.EscapedPath(), nil
}
