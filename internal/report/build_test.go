package report

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

var vip = netip.MustParseAddr("192.0.2.100")

func goodInput() Input {
	accepted := []translate.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: "Accepted", Message: "ok"}}
	return Input{
		Balancer: "radiology", Node: "lb1", Revision: 3, Now: time.Unix(1000, 0),
		Result: translate.BalancerResult{
			Generation: 7, Director: "lb1", Active: true, Conditions: accepted,
			VirtualIPs: []translate.VirtualIPResult{
				{Name: "main", Address: vip, Interface: "eth0", Key: "ns/radiology/main"},
				{Name: "six", Address: netip.MustParseAddr("2001:db8::64"), Interface: "eth0", Key: "ns/radiology/six"},
				{Name: "gateway", Address: netip.MustParseAddr("192.0.2.254"), Interface: "eth0", Key: "ns/radiology/gateway"},
			},
			Services: []translate.ServiceResult{
				{Name: "dicom", Key: "ns/radiology/dicom", VirtualIPs: []string{"main"}, Conditions: accepted, Servers: []translate.ServerResult{
					{Pool: "archive", Name: "a", Target: "t/a"}, {Pool: "archive", Name: "b", Target: "t/b"},
				}},
				{Name: "viewer", Key: "ns/radiology/viewer", VirtualIPs: []string{"main", "six"}, Conditions: accepted, Listeners: []string{"l"}},
			},
		},
		Observed: agent.Observed{
			Revision: 3,
			Node:     model.Node{VirtualIPs: []model.VirtualIP{{Key: "ns/radiology/main", Address: vip, Interface: "eth0"}}},
			Refused:  map[string]*model.ItemError{},
			Verdicts: map[string]model.Verdict{
				"t/a": {Known: true, Healthy: true},
				"t/b": {Known: true, Reason: "ConnectionRefused", Message: "nothing listens"},
			},
			Proxy: agent.ProxyState{Connected: true, Current: true},
		},
	}
}

func refuse(key string) func(*Input) {
	return func(in *Input) {
		in.Observed.Refused[key] = &model.ItemError{Key: key, Reason: "KernelRefused", Err: errors.New("because")}
	}
}

func TestProgrammed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Input)
		// dicom, viewer and all are status/reason of the conditions.
		dicom, viewer, all string
	}{
		"good":            {func(*Input) {}, "True/Programmed", "True/Programmed", "True/Programmed"},
		"older revision":  {func(in *Input) { in.Observed.Revision = 2 }, "Unknown/Pending", "Unknown/Pending", "Unknown/Pending"},
		"address refused": {refuse("ns/radiology/main"), "False/KernelRefused", "False/KernelRefused", "False/KernelRefused"},
		"address of one":  {refuse("ns/radiology/six"), "True/Programmed", "False/KernelRefused", "False/KernelRefused"},
		"gateway refused": {refuse("ns/radiology/gateway"), "True/Programmed", "True/Programmed", "False/KernelRefused"},
		"address of another host": {func(in *Input) {
			refuse("ns/radiology/main")(in)
			in.Observed.Refused["ns/radiology/main"].Reason = v1alpha1.ReasonAddressOwnedByOther
		}, "False/AddressOwnedByOther", "False/AddressOwnedByOther", "False/AddressOwnedByOther"},
		"address that is asked for": {func(in *Input) {
			refuse("ns/radiology/main")(in)
			in.Observed.Refused["ns/radiology/main"].Reason = v1alpha1.ReasonPending
		}, "Unknown/Pending", "Unknown/Pending", "Unknown/Pending"},
		"service refused": {refuse("ns/radiology/dicom"), "False/KernelRefused", "True/Programmed", "False/KernelRefused"},
		"group refused": {func(in *Input) {
			in.Result.Services[0].ModelKey = "ns/radiology/@pacs"
			refuse("ns/radiology/@pacs")(in)
		}, "False/KernelRefused", "True/Programmed", "False/KernelRefused"},
		"failure":       {func(in *Input) { in.Observed.Failure = errors.New("x") }, "False/KernelRefused", "False/KernelRefused", "False/KernelRefused"},
		"no proxy":      {func(in *Input) { in.Observed.Proxy.Connected = false }, "True/Programmed", "False/ProxyMissing", "False/ProxyMissing"},
		"proxy refuses": {func(in *Input) { in.Observed.Proxy.Refused = "y" }, "True/Programmed", "False/ProxyRefused", "False/ProxyRefused"},
		"proxy is late": {func(in *Input) { in.Observed.Proxy.Current = false }, "True/Programmed", "Unknown/Pending", "Unknown/Pending"},
		"last good":     {func(in *Input) { in.Result.Services[0].KeptLastGood = true }, "False/KeptLastGood", "True/Programmed", "False/KeptLastGood"},
		"not accepted": {func(in *Input) {
			in.Result.Services[0].Conditions = []translate.Condition{{Type: "Accepted", Status: "False", Reason: "PortConflict", Message: "m"}}
		}, "False/PortConflict", "True/Programmed", "False/PortConflict"},
	} {
		t.Run(name, func(t *testing.T) {
			in := goodInput()
			tc.change(&in)
			got := Build(in)
			for i, want := range []string{tc.dicom, tc.viewer} {
				if c := find(got.VirtualServices[i].Conditions, "Programmed"); c != want {
					t.Errorf("service %s: %s, want %s", got.VirtualServices[i].Name, c, want)
				}
			}
			if c := find(got.Conditions, "Programmed"); c != tc.all {
				t.Errorf("report: %s, want %s", c, tc.all)
			}
		})
	}
}

func find(list []metav1.Condition, kind string) string {
	for _, c := range list {
		if c.Type == kind {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return "missing"
}

func TestReportSaysWhatTheAgentDidAndNotWhatIsWanted(t *testing.T) {
	in := goodInput()
	got := Build(in)
	if v := got.VirtualIPs[0]; v.ActiveNode != "lb1" || v.Interface != "eth0" || v.Address != "192.0.2.100" {
		t.Errorf("virtual IP %+v", v)
	}
	refuse("ns/radiology/main")(&in)
	if v := Build(in).VirtualIPs[0]; v.ActiveNode != "" {
		t.Errorf("an address that was refused is shown as held: %+v", v)
	}
	states := got.VirtualServices[0].ServerStates
	if states[0].Health != v1alpha1.HealthHealthy || states[0].Reason != "" {
		t.Errorf("server a: %+v", states[0])
	}
	if states[1].Health != v1alpha1.HealthUnhealthy || !strings.Contains(states[1].Message, "nothing listens") {
		t.Errorf("server b: %+v", states[1])
	}
}

func TestTransitionTimeStaysWhileStatusStays(t *testing.T) {
	in := goodInput()
	first := Build(in)
	in.Previous, in.Now = first, in.Now.Add(time.Hour)
	if got := Build(in).Conditions[0].LastTransitionTime; !got.Equal(&first.Conditions[0].LastTransitionTime) {
		t.Errorf("time moved to %v", got)
	}
}

func TestStatesAreThoseOfTheSpec(t *testing.T) {
	in := goodInput()
	in.Result.Services[0].Servers = []translate.ServerResult{
		{Pool: "archive", Name: "a", Target: "t/a", State: model.Drain}, {Pool: "archive", Name: "m", State: model.Maintenance},
	}
	states := Build(in).VirtualServices[0].ServerStates
	if s := states[0]; s.State != "Draining" || s.Health != v1alpha1.HealthHealthy || s.Reason != "Draining" {
		t.Errorf("a server that is drained: %+v", s)
	}
	if s := states[1]; s.State != "Maintenance" || s.Health != v1alpha1.HealthUnknown || s.Reason != "Maintenance" || s.Message == "" {
		t.Errorf("a server in maintenance: %+v", s)
	}
}

// TestDrainIsTold: state, reason and what the message must name.
func TestDrainIsTold(t *testing.T) {
	deadline := time.Unix(0, 0)
	key := drain.Key{Service: "ns/radiology/@pacs", Server: "b"}
	for name, tc := range map[string]struct {
		status                 *drain.Status
		change                 func(*Input)
		state, reason, message string
	}{
		"not yet":  {nil, nil, "Draining", "ConnectionRefused", "nothing listens The director is programming"},
		"going on": {&drain.Status{Phase: drain.Draining, Counted: true, Connections: 50, Deadline: deadline}, nil, "Draining", "ConnectionRefused", "50 connections are left, no new ones come. What is left at 1970-01-01T00:00:00Z will be reset"},
		"healthy": {&drain.Status{Phase: drain.Draining, Counted: true, Connections: 1}, func(in *Input) {
			in.Observed.Verdicts["t/b"] = model.Verdict{Known: true, Healthy: true}
		}, "Draining", "Draining", "1 connection is left, no new ones come. They may go on without limit"},
		"unread": {&drain.Status{Phase: drain.Draining}, nil, "Draining", "ConnectionRefused", "could not be read"},
		"resets": {&drain.Status{Phase: drain.Resetting, Counted: true, Connections: 2, Deadline: deadline}, nil, "Draining", "ConnectionRefused", "over at 1970-01-01T00:00:00Z. 2 connections are left"},
		"over":   {&drain.Status{Phase: drain.Drained, Counted: true}, nil, "Drained", "ConnectionRefused", "No connection is left"},
		"proxy":  {nil, func(in *Input) { in.Result.Services[0].Listeners = []string{"l"} }, "Draining", "ConnectionRefused", "The proxy gives it no new requests"},
		"maintenance": {&drain.Status{Phase: drain.Resetting, Counted: true, Connections: 3}, func(in *Input) {
			in.Result.Services[0].Servers[1] = translate.ServerResult{Pool: "archive", Name: "b", State: model.Maintenance}
		}, "Maintenance", "Maintenance", "3 connections are left"},
	} {
		t.Run(name, func(t *testing.T) {
			in := goodInput()
			in.Result.Services[0].ModelKey = key.Service
			in.Result.Services[0].Servers[1].State = model.Drain
			if tc.status != nil {
				in.Observed.Leaving = map[drain.Key]drain.Status{key: *tc.status}
			}
			if tc.change != nil {
				tc.change(&in)
			}
			s := Build(in).VirtualServices[0].ServerStates[1]
			if s.State != tc.state || s.Reason != tc.reason || !strings.Contains(s.Message, tc.message) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestHealthyServersSayWhatTheirChecksNote: a server that is well and gets no new connections is told
// so, with the reason; other notes of its checks are shown too.
func TestHealthyServersSayWhatTheirChecksNote(t *testing.T) {
	for name, tc := range map[string]struct {
		verdict                model.Verdict
		server                 translate.ServerResult
		state, reason, message string
	}{
		"agent drains":      {verdict: model.Verdict{Known: true, Healthy: true, Reason: "AgentDrains", Message: "the agent asks"}, state: "Draining", reason: "AgentDrains", message: "the agent asks"},
		"agent maintains":   {verdict: model.Verdict{Known: true, Healthy: true, Reason: "AgentMaintains", Message: "the agent has"}, state: "Draining", reason: "AgentMaintains", message: "the agent has"},
		"agent is silent":   {verdict: model.Verdict{Known: true, Healthy: true, Reason: "AgentSilent", Message: "no usable answer"}, state: "Active", reason: "AgentSilent", message: "no usable answer"},
		"cannot be checked": {verdict: model.Verdict{Healthy: true, Reason: "LocalFault", Message: "not even tried"}, state: "Active", reason: "LocalFault", message: "not even tried"},
		"weight 0":          {verdict: model.Verdict{Known: true, Healthy: true}, server: translate.ServerResult{Unweighted: true}, state: "Draining", reason: "NoWeight", message: "weight: 0"},
		"drained by both":   {verdict: model.Verdict{Known: true, Healthy: true, Reason: "AgentDrains", Message: "the agent asks."}, server: translate.ServerResult{State: model.Drain}, state: "Draining", reason: "Draining", message: "the agent asks. The director is programming"},
		"nothing":           {verdict: model.Verdict{Known: true, Healthy: true}, state: "Active"},
	} {
		t.Run(name, func(t *testing.T) {
			in := goodInput()
			tc.server.Pool, tc.server.Name, tc.server.Target = "archive", "a", "t/a"
			in.Result.Services[0].Servers = []translate.ServerResult{tc.server}
			in.Observed.Verdicts["t/a"] = tc.verdict
			s := Build(in).VirtualServices[0].ServerStates[0]
			if s.State != tc.state || s.Reason != tc.reason || !strings.Contains(s.Message, tc.message) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestCertificatesAreReported: they are told, and do not count as not programmed.
func TestCertificatesAreReported(t *testing.T) {
	in := goodInput()
	bad := translate.Condition{Type: v1alpha1.ConditionCertificatesValid, Status: metav1.ConditionFalse, Reason: "Expired", Message: "over"}
	viewer := &in.Result.Services[1]
	viewer.Conditions = append(slices.Clone(viewer.Conditions), bad)
	for range 70 {
		viewer.Certificates = append(viewer.Certificates, certs.Element{
			Source: "ns/viewer-tls", Kind: certs.Intermediate, Subject: "Issuing", NotAfter: time.Unix(1800000000, 0),
		})
	}
	got := Build(in).VirtualServices[1]
	want := v1alpha1.CertificateStatus{Secret: "viewer-tls", Kind: "Intermediate", Subject: "Issuing", NotAfter: "2027-01-15T08:00:00Z"}
	if len(got.Certificates) != 64 || got.Certificates[0] != want {
		t.Errorf("%d, the first %+v", len(got.Certificates), got.Certificates[0])
	}
	if find(got.Conditions, v1alpha1.ConditionProgrammed) != "True/Programmed" || find(got.Conditions, v1alpha1.ConditionCertificatesValid) != "False/Expired" {
		t.Errorf("%+v", got.Conditions)
	}
}
