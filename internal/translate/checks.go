package translate

import (
	"net/netip"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of health checks, as the API documents them.
const (
	defaultPeriodSeconds     = 2
	defaultFastPeriodMillis  = 500
	defaultTimeoutSeconds    = 3
	defaultHealthyThreshold  = 2
	defaultUnhealthyTreshold = 3
	defaultCallingAETitle    = "TPBALANCER"
)

// checksOf are the checks of one server with all defaults; servicePort is the first port of the
// first service that uses the pool, vips are the virtual IPs of all that do.
func checksOf(p *v1alpha1.ServerPool, m *member, servicePort uint16, vips []netip.Addr) []model.Check {
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
			out = append(out, throughVIPs(check, m, vips)...)
			continue
		}
		out = append(out, check)
	}
	return out
}

// throughVIPs is a check once for each virtual IP of the server's family. A server that gets no
// packets to virtual IPs, a fallback server with a mode of its own, is checked at its own address.
func throughVIPs(c model.Check, m *member, vips []netip.Addr) []model.Check {
	var out []model.Check
	for _, vip := range vips {
		if m.forwarding(model.DirectRouting) == model.DirectRouting && vip.Is6() == m.addr().Is6() {
			c.Via, c.VirtualIP = model.ViaVirtualIP, vip
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return []model.Check{c}
	}
	return out
}

func checkOf(h *v1alpha1.HealthCheck, port uint16) model.Check {
	timeout, period := timing(h)
	c := model.Check{
		Type:       model.CheckType(h.Type),
		Port:       uint16(or(h.Port, int32(port))),
		Period:     period,
		Timeout:    timeout,
		FastPeriod: min(period, time.Duration(or(h.FastPeriodMilliseconds, defaultFastPeriodMillis))*time.Millisecond),
		Rise:       int(or(h.HealthyThreshold, defaultHealthyThreshold)),
		Fall:       int(or(h.UnhealthyThreshold, defaultUnhealthyTreshold)),
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
			c.Agent.Send, c.Port = h.Agent.Send, uint16(h.Agent.Port)
		}
	default:
		c.Type = model.CheckTCP
	}
	return c
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
