package translate

import (
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of health checks, as the API documents them.
const (
	defaultPeriodSeconds     = 5
	defaultFastPeriodMillis  = 500
	defaultTimeoutSeconds    = 3
	defaultHealthyThreshold  = 2
	defaultUnhealthyTreshold = 3
	defaultCallingAETitle    = "TPBALANCER"
)

// checksOf are the checks of one server with all defaults; servicePort is the first port of the
// first service that uses the pool.
func checksOf(p *v1alpha1.ServerPool, s *v1alpha1.Server, servicePort uint16) []model.Check {
	port := serverPort(p, s)
	if port == 0 {
		port = servicePort
	}
	if len(p.HealthChecks) == 0 {
		return []model.Check{checkOf(&v1alpha1.HealthCheck{Type: v1alpha1.HealthCheckTCP}, port)}
	}
	out := make([]model.Check, 0, len(p.HealthChecks))
	for i := range p.HealthChecks {
		out = append(out, checkOf(&p.HealthChecks[i], port))
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
