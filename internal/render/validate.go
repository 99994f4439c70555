package render

import (
	"errors"
	"fmt"
	"math/bits"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
)

// How many marks a range may have. Marks are hashes of service names, so many must be free.
const (
	minMarks = 1 << 16
	maxMarks = 1 << 24
)

// ownPrefixes are the label and annotation prefixes that settings may not set.
var ownPrefixes = []string{"app.kubernetes.io/", "lb.truepacs.io/"}

// Validate returns nil or one error with every field that cannot work; it wraps ErrSettings.
func (s Settings) Validate() error {
	return errors.Join(slices.Concat(
		s.validateImage(),
		s.validatePaths(),
		s.validateNumbers(),
		s.Agent.validate("agent"),
		s.Proxy.validate("proxy"),
	)...)
}

func refuse(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrSettings, field, fmt.Sprintf(format, args...))
}

func (s Settings) validateImage() []error {
	var errs []error
	if s.Image == "" || strings.ContainsFunc(s.Image, notPrintable) {
		errs = append(errs, refuse("image", "%q is no image: write a name with tag or digest, for example truepacs/balancer:v1.0.0", s.Image))
	}
	policies := []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	if !slices.Contains(policies, s.ImagePullPolicy) {
		errs = append(errs, refuse("imagePullPolicy", "%q is unknown: write Always, IfNotPresent or Never", s.ImagePullPolicy))
	}
	for i, name := range s.ImagePullSecrets {
		for _, m := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, refuse(fmt.Sprintf("imagePullSecrets[%d]", i), "%q is no name of a Secret: %s", name, m))
		}
	}
	return errs
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

func (s Settings) validatePaths() []error {
	run, state := s.HostPaths.Run, s.HostPaths.State
	errs := slices.Concat(validatePath("hostPaths.run", run), validatePath("hostPaths.state", state))
	if inside(run, state) || inside(state, run) {
		errs = append(errs, refuse("hostPaths", "run (%s) and state (%s) must be two directories, neither inside the other", run, state))
	}
	if checks := s.HostPaths.Checks; checks != "" {
		errs = append(errs, validatePath("hostPaths.checks", checks)...)
		for _, own := range []string{run, state} {
			if inside(checks, own) || inside(own, checks) {
				errs = append(errs, refuse("hostPaths.checks", "%s must be a directory of its own, not in or around %s", checks, own))
			}
		}
	}
	return errs
}

func validatePath(field, p string) []error {
	deep := strings.Count(p, "/") >= 2
	if path.IsAbs(p) && path.Clean(p) == p && deep && !strings.ContainsFunc(p, notPrintable) {
		return nil
	}
	return []error{refuse(field, "%q will not do: write an absolute directory of our own, at least two levels deep, without .. and trailing slash, for example %s", p, RunDir)}
}

func inside(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func (s Settings) validateNumbers() []error {
	var errs []error
	if s.LogVerbosity < 0 || s.LogVerbosity > 10 {
		errs = append(errs, refuse("logVerbosity", "%d is out of range: write 0 to 10", s.LogVerbosity))
	}
	if !s.MarkRange.usable() {
		errs = append(errs, refuse("markRange", "%d to %d will not do: write a power of two of marks, %d to %d, with first a multiple of their number, for example first: 0x%x, last: 0x%x",
			s.MarkRange.First, s.MarkRange.Last, minMarks, maxMarks, defaultFirstMark, defaultLastMark))
	}
	if s.PriorityClassName != "" {
		for _, m := range validation.IsDNS1123Subdomain(s.PriorityClassName) {
			errs = append(errs, refuse("priorityClassName", "%q is no name of a PriorityClass: %s", s.PriorityClassName, m))
		}
	}
	return errs
}

func (m MarkRange) usable() bool {
	size := uint64(m.Last) - uint64(m.First) + 1
	return m.First > 0 && m.First <= m.Last && bits.OnesCount64(size) == 1 &&
		size >= minMarks && size <= maxMarks && uint64(m.First)%size == 0
}

func (r Role) validate(role string) []error {
	return slices.Concat(
		validateMap(role+".nodeSelector", r.NodeSelector, true, nil),
		validateMap(role+".podLabels", r.PodLabels, true, ownPrefixes),
		validateMap(role+".podAnnotations", r.PodAnnotations, false, ownPrefixes),
		r.validateResources(role+".resources"),
	)
}

func validateMap(field string, m map[string]string, labels bool, reserved []string) []error {
	var errs []error
	for _, k := range sortedKeys(m) {
		for _, msg := range content.IsLabelKey(k) {
			errs = append(errs, refuse(field, "key %q: %s", k, msg))
		}
		if labels {
			for _, msg := range content.IsLabelValue(m[k]) {
				errs = append(errs, refuse(field, "value %q of %s: %s", m[k], k, msg))
			}
		}
		if slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(k, p) }) {
			errs = append(errs, refuse(field, "key %q is set by the operator: remove it or take another prefix", k))
		}
	}
	return errs
}

func (r Role) validateResources(field string) []error {
	var errs []error
	if len(r.Resources.Claims) > 0 {
		errs = append(errs, refuse(field+".claims", "resource claims are not supported: remove them"))
	}
	for _, name := range sortedKeys(r.Resources.Requests) {
		request, limit := r.Resources.Requests[name], r.Resources.Limits[name]
		if !limit.IsZero() && request.Cmp(limit) > 0 {
			errs = append(errs, refuse(field, "the request of %s (%s) is above its limit (%s): lower the request or raise the limit", name, request.String(), limit.String()))
		}
	}
	return errs
}
