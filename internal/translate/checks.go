package translate

import (
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of health checks, as the API documents them.
const (
	defaultPeriodSeconds      = 2
	defaultFastPeriodMillis   = 500
	defaultTimeoutSeconds     = 3
	defaultHealthyThreshold   = 2
	defaultUnhealthyThreshold = 3
	defaultCallingAETitle     = "TPBALANCER"
	// agentThreshold: an agent's word counts at once.
	agentThreshold = 1
)

// checksOf are the checks of one server with all defaults; servicePort is the first port of the
// first service that uses the pool, doors are what all that do answer on by TCP.
func checksOf(p *v1alpha1.ServerPool, m *member, servicePort uint16, doors []Endpoint) []model.Check {
	port := serverPort(p, &m.Server)
	if port == 0 {
		port = servicePort
	}
	if len(p.HealthChecks) == 0 {
		return []model.Check{checkOf(&v1alpha1.HealthCheck{Type: v1alpha1.HealthCheckTCP}, port)}
	}
	out := make([]model.Check, 0, len(p.HealthChecks))
	for i := range p.HealthChecks {
		h := &p.HealthChecks[i]
		check := checkOf(h, port)
		if h.Via == v1alpha1.ViaVirtualIP {
			out = append(out, throughVIPs(check, m, h.Port, doors)...)
			continue
		}
		out = append(out, check)
	}
	return out
}

// throughVIPs is a check once for each virtual IP of the server's family, at a port that is declared
// there: others are dropped on the server. A server that gets no packets to virtual IPs, a fallback
// server with a mode of its own, is checked at its own address.
func throughVIPs(c model.Check, m *member, port *int32, doors []Endpoint) []model.Check {
	var out []model.Check
	seen := map[netip.Addr]bool{}
	for _, d := range doors {
		if seen[d.Addr] || m.forwarding(model.DirectRouting) != model.DirectRouting || d.Addr.Is6() != m.addr().Is6() {
			continue
		}
		seen[d.Addr] = true
		via := c
		via.Via, via.VirtualIP = model.ViaVirtualIP, d.Addr
		if port == nil || !opens(doors, d.Addr, uint16(*port)) {
			via.Port = d.First
		}
		out = append(out, via)
	}
	if len(out) == 0 {
		return []model.Check{c}
	}
	slices.SortStableFunc(out, func(a, b model.Check) int { return a.VirtualIP.Compare(b.VirtualIP) })
	return out
}

// opens tells whether a port of an address is among doors.
func opens(doors []Endpoint, addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(doors, func(d Endpoint) bool { return d.Addr == addr && d.First <= port && port <= d.Last })
}

func checkOf(h *v1alpha1.HealthCheck, port uint16) model.Check {
	timeout, period := timing(h)
	rise, fall := int32(defaultHealthyThreshold), int32(defaultUnhealthyThreshold)
	if h.Type == v1alpha1.HealthCheckAgent {
		rise, fall = agentThreshold, agentThreshold
	}
	c := model.Check{
		Type:       model.CheckType(h.Type),
		Port:       uint16(or(h.Port, int32(port))),
		Period:     period,
		Timeout:    timeout,
		FastPeriod: min(period, time.Duration(or(h.FastPeriodMilliseconds, defaultFastPeriodMillis))*time.Millisecond),
		Rise:       int(or(h.HealthyThreshold, rise)),
		Fall:       int(or(h.UnhealthyThreshold, fall)),
	}
	switch h.Type {
	case v1alpha1.HealthCheckHTTP:
		c.HTTP = httpCheck(h.HTTP)
	case v1alpha1.HealthCheckDICOMEcho:
		c.DICOM = dicomCheck(h.DICOMEcho)
	case v1alpha1.HealthCheckExternal:
		c.External = &model.ExternalCheck{}
		if h.External != nil {
			c.External.Name = h.External.Name
		}
	case v1alpha1.HealthCheckAgent:
		c.Agent = &model.AgentCheck{}
		if h.Agent != nil {
			c.Agent.Send, c.Port = line(h.Agent.Send), uint16(h.Agent.Port)
		}
	default:
		c.Type = model.CheckTCP
	}
	return c
}

// line ends a text for an agent, which waits for the end of the line; no text stays none.
func line(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}

// timing: a period that is absent is never shorter than the timeout.
func timing(h *v1alpha1.HealthCheck) (timeout, period time.Duration) {
	seconds := or(h.PeriodSeconds, defaultPeriodSeconds)
	limit := or(h.TimeoutSeconds, min(defaultTimeoutSeconds, seconds))
	if h.PeriodSeconds == nil {
		seconds = max(seconds, limit)
	}
	return time.Duration(limit) * time.Second, time.Duration(seconds) * time.Second
}

func httpCheck(h *v1alpha1.HTTPCheck) *model.HTTPCheck {
	out := &model.HTTPCheck{Path: "/"}
	if h == nil {
		return out
	}
	if h.Path != "" {
		out.Path = h.Path
	}
	out.Host, out.ExpectedBody = h.Host, h.ExpectedBody
	for _, s := range h.ExpectedStatuses {
		out.ExpectedStatuses = append(out.ExpectedStatuses, int(s))
	}
	return out
}

// dicomCheck: the schema demands a called AE title.
func dicomCheck(d *v1alpha1.DICOMEchoCheck) *model.DICOMCheck {
	out := &model.DICOMCheck{CallingAETitle: defaultCallingAETitle}
	if d == nil {
		return out
	}
	out.CalledAETitle = d.CalledAETitle
	if d.CallingAETitle != "" {
		out.CallingAETitle = d.CallingAETitle
	}
	return out
}
