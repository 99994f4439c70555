package health

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/truepacs/balancer/dataplane/dicom"
)

// ErrInvalidCheck means that a check cannot be run as written; the wrapping error names the field.
var ErrInvalidCheck = errors.New("health check cannot be run")

// Validate tells whether the target's checks can be run and, if not, which field to change. Zero
// values that have a default are valid. A Monitor runs the valid checks of an invalid target and
// reports the others as InvalidCheck, which changes no verdict.
func (t Target) Validate() error {
	if !t.Address.IsValid() {
		return fmt.Errorf("%s: address is missing: %w", t.Key, ErrInvalidCheck)
	}
	for i, c := range t.Checks {
		if err := c.withDefaults().validate(); err != nil {
			return fmt.Errorf("%s: healthChecks[%d].%w", t.Key, i, err)
		}
	}
	return nil
}

// invalid formats an ErrInvalidCheck; the text starts with the field.
func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalidCheck)...)
}

// maxSend bounds AgentCheck.Send, in bytes.
const maxSend = 256

func (c Check) validate() error {
	switch {
	case c.Port == 0:
		return invalid("port is missing, write 1 to 65535")
	case c.Period < 0 || c.FastPeriod < 0 || c.Timeout < 0:
		return invalid("periodSeconds, fastPeriodMilliseconds and timeoutSeconds must be positive")
	case c.Rise < 0 || c.Fall < 0:
		return invalid("healthyThreshold and unhealthyThreshold must be positive")
	}
	switch c.Type {
	case TCP:
		return nil
	case HTTP:
		return c.HTTP.validate()
	case DICOMEcho:
		return c.DICOM.validate()
	case Agent:
		if len(c.Agent.Send) > maxSend {
			return invalid("agent.send is longer than %d bytes", maxSend)
		}
		return nil
	case External:
		if c.Via.IsValid() {
			return invalid("type External cannot go through the direct-routing path: a program opens its own connections")
		}
		return c.External.validate()
	default:
		return invalid("type %q is not supported, write %s, %s, %s, %s or %s", c.Type, TCP, HTTP, DICOMEcho, Agent, External)
	}
}

func (d DICOMCheck) validate() error {
	if _, err := dicom.ParseAETitle(d.CalledAETitle); err != nil {
		return fmt.Errorf("dicomEcho.calledAETitle: %w: %w", err, ErrInvalidCheck)
	}
	if _, err := dicom.ParseAETitle(d.CallingAETitle); err != nil {
		return fmt.Errorf("dicomEcho.callingAETitle: %w: %w", err, ErrInvalidCheck)
	}
	return nil
}

func (h HTTPCheck) validate() error {
	switch {
	case h.Method != http.MethodGet && h.Method != http.MethodHead:
		return invalid("http.method %q is not supported, write GET or HEAD", h.Method)
	case h.Method == http.MethodHead && h.ExpectedBody != "":
		return invalid("http.expectedBody needs method GET: an answer to HEAD has no body")
	case len(h.ExpectedBody) > maxBody:
		return invalid("http.expectedBody is longer than the %d bytes that are searched", maxBody)
	case !strings.HasPrefix(h.Path, "/") || strings.IndexFunc(h.Path, notVisible) >= 0:
		return invalid("http.path %q must start with / and hold no space or control character", h.Path)
	case strings.IndexFunc(h.Host, notVisible) >= 0 || strings.ContainsAny(h.Host, "/@?#"):
		return invalid("http.host %q is no host name", h.Host)
	}
	for _, s := range h.ExpectedStatuses {
		if s < 200 || s > 599 {
			return invalid("http.expectedStatuses holds %d, write 200 to 599", s)
		}
	}
	return nil
}

// notVisible tells characters that cannot stand in a request line (RFC 9112 section 3).
func notVisible(r rune) bool { return r <= ' ' || r > '~' }
