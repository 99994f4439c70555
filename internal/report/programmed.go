package report

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
	"github.com/truepacs/balancer/internal/translate"
)

var programmedTrue = metav1.Condition{
	Type: v1alpha1.ConditionProgrammed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonProgrammed,
	Message: "Kernel and proxy of this director do what the spec says.",
}

func programmedFalse(reason, message string) metav1.Condition {
	return conditions.New(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, reason, message)
}

// programmed decides whether a service is programmed: the first check that objects wins.
func (in Input) programmed(s translate.ServiceResult) metav1.Condition {
	for _, check := range []func(translate.ServiceResult) *metav1.Condition{
		in.notYet, in.refusedBefore, in.addressRefused, in.refused, in.failed, in.proxyRefused,
	} {
		if c := check(s); c != nil {
			return *c
		}
	}
	return programmedTrue
}

// notYet: the agent has not carried out this revision.
func (in Input) notYet(translate.ServiceResult) *metav1.Condition {
	if in.Observed.Revision >= in.Revision {
		return nil
	}
	c := conditions.New(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonPending,
		"The director is programming the change.")
	return &c
}

// refusedBefore: translation refused the service, so what is programmed is not the spec.
func (in Input) refusedBefore(s translate.ServiceResult) *metav1.Condition {
	if s.KeptLastGood {
		c := programmedFalse(v1alpha1.ReasonKeptLastGood,
			"Service "+s.Name+" goes on with what was there before the change that is refused; see conditions Accepted and ResolvedRefs.")
		return &c
	}
	for _, known := range s.Conditions {
		if known.Status == metav1.ConditionFalse && known.Type != v1alpha1.ConditionCertificatesValid {
			c := programmedFalse(known.Reason, "Service "+s.Name+" is not programmed: "+known.Message)
			return &c
		}
	}
	return nil
}

// addressRefused: an address of the service could not be put on its interface.
func (in Input) addressRefused(s translate.ServiceResult) *metav1.Condition {
	return in.anyRefused(func(vip string) bool { return slices.Contains(s.VirtualIPs, vip) })
}

// restRefused: an address that no service has, a gateway's, could not be put on its interface.
func (in Input) restRefused() *metav1.Condition {
	return in.anyRefused(func(vip string) bool {
		return !slices.ContainsFunc(in.Result.Services, func(s translate.ServiceResult) bool { return slices.Contains(s.VirtualIPs, vip) })
	})
}

func (in Input) anyRefused(concerned func(vip string) bool) *metav1.Condition {
	for _, vip := range in.Result.VirtualIPs {
		if !concerned(vip.Name) {
			continue
		}
		if item := in.Observed.Refused[vip.Key]; item != nil {
			c := programmedFalse(item.Reason, "Virtual IP "+vip.Name+": "+item.Err.Error())
			if item.Reason == v1alpha1.ReasonPending {
				c.Status = metav1.ConditionUnknown
			}
			return &c
		}
	}
	return nil
}

// refused: kernel or proxy refused the service, or the persistence group that it is in.
func (in Input) refused(s translate.ServiceResult) *metav1.Condition {
	for _, key := range []string{s.Key, s.ModelKey} {
		if item := in.Observed.Refused[key]; item != nil {
			c := programmedFalse(item.Reason, "Service "+s.Name+": "+item.Err.Error())
			return &c
		}
	}
	return nil
}

// failed: something that is not about one item went wrong.
func (in Input) failed(translate.ServiceResult) *metav1.Condition {
	if in.Observed.Failure == nil {
		return nil
	}
	c := programmedFalse(v1alpha1.ReasonKernelRefused, in.Observed.Failure.Error())
	return &c
}

// proxyRefused: a layer 7 service needs a proxy that runs the newest configuration.
func (in Input) proxyRefused(s translate.ServiceResult) *metav1.Condition {
	if len(s.Listeners) == 0 {
		return nil
	}
	proxy := in.Observed.Proxy
	var c metav1.Condition
	switch {
	case !proxy.Connected:
		c = programmedFalse(v1alpha1.ReasonProxyMissing, "No proxy runs on this director, so service "+s.Name+
			" does not answer. In a cluster look at the pods of DaemonSet truepacs-proxy; on a plain host at the output of truepacs run.")
	case proxy.Refused != "":
		c = programmedFalse(v1alpha1.ReasonProxyRefused, "The proxy keeps its last configuration: "+proxy.Refused)
	case !proxy.Current:
		c = conditions.New(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonPending,
			"The proxy is taking over the change.")
	default:
		return nil
	}
	return &c
}
