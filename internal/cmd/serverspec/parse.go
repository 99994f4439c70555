package serverspec

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// parsePorts reads 104, 2000-2010 or 514/udp.
func parsePorts(text string) (setup.Ports, error) {
	number, protocol, _ := strings.Cut(text, "/")
	p := setup.Ports{Protocol: model.Protocol(strings.ToUpper(protocol))}
	if protocol == "" {
		p.Protocol = model.TCP
	}
	first, last, isRange := strings.Cut(number, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	p.First, p.Last = uint16(from), uint16(to)
	if err1 != nil || err2 != nil || from == 0 || from > to || p.Protocol != model.TCP && p.Protocol != model.UDP {
		return setup.Ports{}, fmt.Errorf("--port %q cannot be: write for example 104, 2000-2010 or 514/udp", text)
	}
	return p, nil
}

// ParseMethod reads a way of accepting packets as an administrator writes it; empty is none.
func ParseMethod(text string) (setup.Method, error) {
	for _, m := range []setup.Method{"", setup.Loopback, setup.Redirect, setup.Tunnel} {
		if strings.EqualFold(text, string(m)) {
			return m, nil
		}
	}
	return "", fmt.Errorf("--method %q is unknown: write loopback, redirect or tunnel", text)
}
