package conditions_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

// row is a condition in short.
type row struct {
	Status metav1.ConditionStatus
	Reason string
}

const (
	isTrue    = metav1.ConditionTrue
	isFalse   = metav1.ConditionFalse
	isUnknown = metav1.ConditionUnknown
)

// expect is a status in short: Accepted, ResolvedRefs, Programmed, ServersHealthy, Ready,
// Reconciling, Stalled.
type expect [7]row

func short(status v1alpha1.TruePACSBalancerStatus) (out expect) {
	for i, c := range status.Conditions {
		if i < len(out) {
			out[i] = row{c.Status, c.Reason}
		}
	}
	return out
}

var kinds = []string{"Accepted", "ResolvedRefs", "Programmed", "ServersHealthy", "Ready", "Reconciling", "Stalled", "NetworkSound", "CertificatesValid"}

type foldCase struct {
	change  func(*conditions.Input)
	want    expect
	message map[string]string // condition type: what its message must say
	servers string            // the column; empty: not compared
	active  string            // the column
}

var (
	accepted  = row{isTrue, "Accepted"}
	resolved  = row{isTrue, "Resolved"}
	installed = row{isTrue, "Programmed"}
	allUp     = row{isTrue, "AllHealthy"}
	ready     = row{isTrue, "Ready"}
	idle      = row{isFalse, "Idle"}
	notStuck  = row{isFalse, "NotStalled"}
)

func foldCases() map[string]foldCase {
	all := map[string]foldCase{}
	for _, some := range []map[string]foldCase{reportCases(), verdictCases(), directorCases(), causeCases(), serverCases()} {
		maps.Copy(all, some)
	}
	return all
}

func reportCases() map[string]foldCase {
	return map[string]foldCase{
		"all well": {
			change:  func(*conditions.Input) {},
			want:    expect{accepted, resolved, installed, allUp, ready, idle, notStuck},
			message: map[string]string{"Ready": "Generation 7 of the spec is at work on node-1.", "ServersHealthy": "All 2 servers pass"},
			servers: "2/2", active: "node-1",
		},
		"first visit: no agent yet": {
			change: func(in *conditions.Input) { in.Reports, in.Leases = nil, nil },
			want: expect{accepted, {isUnknown, "Pending"}, {isUnknown, "Pending"}, {isUnknown, "Pending"},
				{isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
			message: map[string]string{"Programmed": "No agent runs on node-1 yet.", "Ready": "kubectl get pods"},
			servers: "?/2",
		},
		"director alive, not reported": {
			change: func(in *conditions.Input) { in.Reports = nil },
			want: expect{accepted, {isUnknown, "Pending"}, {isUnknown, "Pending"}, {isUnknown, "Pending"},
				{isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
			message: map[string]string{"Programmed": "Director node-1 has not reported yet."},
			servers: "?/2",
		},
		"report of an older generation": {
			change: func(in *conditions.Input) { in.Reports[0].Status.ObservedGeneration = 6 },
			want:   expect{accepted, {isUnknown, "Pending"}, {isUnknown, "Pending"}, allUp, {isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
			message: map[string]string{
				"Programmed": "Director node-1 still does what generation 6 of the spec says; generation 7 is under way.",
			},
			servers: "2/2", active: "node-1",
		},
		"director silent": {
			change: func(in *conditions.Input) { in.Leases["node-1"] = now() },
			want: expect{accepted, {isUnknown, "DirectorSilent"}, {isUnknown, "DirectorSilent"}, {isUnknown, "DirectorSilent"},
				{isUnknown, "DirectorSilent"}, {isTrue, "DirectorSilent"}, notStuck},
			message: map[string]string{
				"Programmed":     "The agent on node-1 has not renewed its Lease, so nobody knows what it does now. It held 192.0.2.100 when last heard",
				"ServersHealthy": "The health of 2 of 2 servers is not known",
			},
			servers: "?/2",
		},
	}
}

func verdictCases() map[string]foldCase {
	return map[string]foldCase{
		"refused across balancers": {
			change: func(in *conditions.Input) {
				c := condition("Accepted", isFalse, "PortConflict", "192.0.2.100:443 belongs to imaging/older: choose another port.")
				in.Accepted = &c
			},
			want: expect{{isFalse, "PortConflict"}, resolved, installed, allUp, {isFalse, "PortConflict"}, idle, {isTrue, "PortConflict"}},
			message: map[string]string{
				"Ready":   "Accepted is False: 192.0.2.100:443 belongs to imaging/older",
				"Stalled": "Waiting does not help: 192.0.2.100:443",
			},
			servers: "2/2", active: "node-1",
		},
		"refused by the director": {
			change: func(in *conditions.Input) {
				setReport(in, condition("Accepted", isFalse, "AddressInUse", "192.0.2.100 is an address of this node"))
			},
			want:    expect{{isFalse, "AddressInUse"}, resolved, installed, allUp, {isFalse, "AddressInUse"}, idle, {isTrue, "AddressInUse"}},
			message: map[string]string{"Accepted": "Director node-1: 192.0.2.100 is an address of this node."},
		},
		"an old refusal does not count": {
			change: func(in *conditions.Input) {
				setReport(in, condition("Accepted", isFalse, "AddressInUse", "x"))
				in.Reports[0].Status.ObservedGeneration = 6
			},
			want: expect{accepted, {isUnknown, "Pending"}, {isUnknown, "Pending"}, allUp, {isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
		},
		"no verdict across balancers": {
			change: func(in *conditions.Input) { in.Accepted = nil },
			want:   expect{accepted, resolved, installed, allUp, ready, idle, notStuck},
		},
	}
}

func directorCases() map[string]foldCase {
	return map[string]foldCase{
		"no director": {
			change: func(in *conditions.Input) { in.Directors, in.Reports, in.Leases = nil, nil, nil },
			want: expect{{isFalse, "NoDirector"}, {isFalse, "NoDirector"}, {isFalse, "NoDirector"}, {isUnknown, "NoDirector"},
				{isFalse, "NoDirector"}, idle, {isTrue, "NoDirector"}},
			message: map[string]string{"Accepted": "kubectl label node NODE lb.truepacs.io/director=true"},
		},
		"the director is another plain host": {
			change: func(in *conditions.Input) {
				in.Directors, in.Reports, in.Leases, in.Elsewhere, in.Self = nil, nil, nil, "lb1", "pacs-a"
			},
			want: expect{accepted, {isUnknown, "DirectorElsewhere"}, {isUnknown, "DirectorElsewhere"}, {isUnknown, "DirectorElsewhere"},
				{isUnknown, "DirectorElsewhere"}, {isTrue, "DirectorElsewhere"}, notStuck},
			message: map[string]string{"Programmed": "is lb1 (spec.directors.peers), this host is called pacs-a"},
		},
		"two directors": {
			change: func(in *conditions.Input) {
				in.Directors = []string{"node-2", "node-1", "node-1"}
				in.Balancer.Spec.Directors = &v1alpha1.Directors{NodeSelector: map[string]string{"zone": "a", "rack": "r1"}}
				in.Leases["node-2"] = now().Add(time.Second)
				in.Reports = append(in.Reports, goodReport("node-2"))
				in.Reports[1].Status.VirtualIPs[0].ActiveNode = ""
			},
			want:    expect{{isFalse, "TooManyDirectors"}, resolved, installed, allUp, {isFalse, "TooManyDirectors"}, idle, {isTrue, "TooManyDirectors"}},
			message: map[string]string{"Accepted": "node-1 and node-2 match spec.directors.nodeSelector (rack=r1,zone=a)"},
			servers: "2/2", active: "node-1",
		},
		"two holders": {
			change: func(in *conditions.Input) {
				in.Leases["node-2"] = now().Add(time.Second)
				in.Reports = append(in.Reports, goodReport("node-2"))
			},
			want:    expect{accepted, resolved, {isFalse, "TwoHolders"}, allUp, {isFalse, "TwoHolders"}, {isTrue, "TwoHolders"}, notStuck},
			message: map[string]string{"Programmed": "node-1 and node-2 each say that they hold 192.0.2.100"},
			active:  "node-1,node-2",
		},
		"a former director no longer counts": {
			change: func(in *conditions.Input) {
				in.Reports = append(in.Reports, goodReport("node-0"))
				in.Reports[1].Status.Conditions[2] = condition("Programmed", isFalse, "KernelRefused", "x")
			},
			want:   expect{accepted, resolved, installed, allUp, ready, idle, notStuck},
			active: "node-1",
		},
	}
}

func causeCases() map[string]foldCase {
	return map[string]foldCase{
		"Secret missing": {
			change: func(in *conditions.Input) {
				setReport(in, condition("ResolvedRefs", isFalse, "SecretNotFound", "Secret viewer-tls does not exist"))
			},
			want:    expect{accepted, {isFalse, "SecretNotFound"}, installed, allUp, {isFalse, "SecretNotFound"}, {isTrue, "SecretNotFound"}, notStuck},
			message: map[string]string{"Ready": "ResolvedRefs is False: Director node-1: Secret viewer-tls does not exist."},
		},
		"no Secret named": {
			change: func(in *conditions.Input) {
				in.Balancer.Spec.VirtualServices[1].Layer7.TLS = nil
				in.Reports[0].Status.ObservedGeneration = 6
			},
			want:    expect{accepted, resolved, {isUnknown, "Pending"}, allUp, {isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
			message: map[string]string{"ResolvedRefs": "The spec names no Secret."},
		},
		"kernel refuses": {
			change: func(in *conditions.Input) {
				setReport(in, condition("Programmed", isFalse, "KernelRefused", "IPVS: no buffer space"))
			},
			want: expect{accepted, resolved, {isFalse, "KernelRefused"}, allUp, {isFalse, "KernelRefused"}, {isTrue, "KernelRefused"}, notStuck},
		},
		"kernel lacks IPVS": {
			change: func(in *conditions.Input) {
				setReport(in, condition("Programmed", isFalse, "ModuleMissing", "no ip_vs"))
			},
			want: expect{accepted, resolved, {isFalse, "ModuleMissing"}, allUp, {isFalse, "ModuleMissing"}, idle, {isTrue, "ModuleMissing"}},
		},
		"report without Programmed": {
			change: func(in *conditions.Input) {
				in.Reports[0].Status.Conditions = in.Reports[0].Status.Conditions[:2]
			},
			want:    expect{accepted, resolved, {isUnknown, "Pending"}, allUp, {isUnknown, "Pending"}, {isTrue, "Pending"}, notStuck},
			message: map[string]string{"Programmed": "Director node-1 has not reported Programmed yet."},
		},
	}
}

func serverCases() map[string]foldCase {
	return map[string]foldCase{
		"one server down in one pool": {
			change: func(in *conditions.Input) {
				in.Reports[0].Status.VirtualServices[0].ServerStates[1] = down("archive", "pacs-b")
			},
			want: expect{accepted, resolved, installed, {isFalse, "ServersDown"}, ready, idle, notStuck},
			message: map[string]string{
				"ServersHealthy": "1 of 2 servers down; new connections go to the others. archive/pacs-b (192.0.2.12): Rejected: C-ECHO rejected 1/1/7: write the AE title the PACS knows into calledAETitle.",
				"Ready":          "Servers are down",
			},
			servers: "1/2", active: "node-1",
		},
		"no server left": {
			change: func(in *conditions.Input) {
				in.Reports[0].Status.VirtualServices[1].ServerStates[0] = down("web", "pacs-a")
			},
			want:    expect{accepted, resolved, installed, {isFalse, "NoServerLeft"}, ready, idle, notStuck},
			message: map[string]string{"ServersHealthy": "Every server of pool web is down, so its clients get no answer from virtual service viewer. web/pacs-a (192.0.2.11): Rejected"},
			servers: "1/2", active: "node-1",
		},
		"server not checked yet": {
			change: func(in *conditions.Input) {
				in.Reports[0].Status.VirtualServices[0].ServerStates[1].Health = v1alpha1.HealthUnknown
				in.Reports[0].Status.VirtualServices[0].ServerStates[1].Message = "first check under way"
			},
			want:    expect{accepted, resolved, installed, {isUnknown, "Pending"}, ready, idle, notStuck},
			message: map[string]string{"ServersHealthy": "The health of 1 of 2 servers is not known: first check under way."},
			servers: "1/2", active: "node-1",
		},
	}
}

func TestFold(t *testing.T) {
	for name, tc := range foldCases() {
		t.Run(name, func(t *testing.T) {
			in := working()
			tc.change(&in)
			got := conditions.Fold(in)
			if diff := cmp.Diff(tc.want, short(got)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			for kind, text := range tc.message {
				if c := meta.FindStatusCondition(got.Conditions, kind); c == nil || !strings.Contains(c.Message, text) {
					t.Errorf("%s does not say %q: %+v", kind, text, c)
				}
			}
			if tc.servers != "" && got.Summary.Servers != tc.servers {
				t.Errorf("servers column is %q, want %q", got.Summary.Servers, tc.servers)
			}
			if tc.servers != "" && got.Summary.ActiveNodes != tc.active {
				t.Errorf("active nodes column is %q, want %q", got.Summary.ActiveNodes, tc.active)
			}
		})
	}
}

func TestFindingsOfADirector(t *testing.T) {
	sound := condition(v1alpha1.ConditionNetworkSound, isTrue, v1alpha1.ReasonSound, "Nothing was found.")
	broken := condition(v1alpha1.ConditionNetworkSound, isFalse, "ServerAnswersARP", "Server pacs-a answers.")
	for name, tc := range map[string]struct {
		reported []metav1.Condition
		want     row
		says     string
	}{
		"nothing looked at": {nil, row{isUnknown, "Pending"}, "has looked"},
		"sound":             {[]metav1.Condition{sound}, row{isTrue, "Sound"}, "Nothing was found"},
		"found":             {[]metav1.Condition{broken}, row{isFalse, "ServerAnswersARP"}, "Director node-1: Server pacs-a answers."},
	} {
		t.Run(name, func(t *testing.T) {
			in := working()
			in.Reports[0].Status.Conditions = append(in.Reports[0].Status.Conditions, tc.reported...)
			got := conditions.Fold(in)
			c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionNetworkSound)
			if c == nil || (row{c.Status, c.Reason}) != tc.want || !strings.Contains(c.Message, tc.says) {
				t.Errorf("got %+v", c)
			}
			if !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady) {
				t.Error("a finding makes the balancer not ready")
			}
		})
	}
}

func TestSecondOwnersInTheCluster(t *testing.T) {
	broken := condition(v1alpha1.ConditionNetworkSound, isFalse, "ServerAnswersARP", "Server pacs-a answers.")
	for name, tc := range map[string]struct {
		users    []conditions.User
		reported []metav1.Condition
		says     []string
	}{
		"Service": {[]conditions.User{{VirtualIP: "main", Service: "web/portal"}}, nil,
			[]string{"192.0.2.100 (spec.virtualIPs name main)", "Service web/portal", "kubectl edit service --namespace web portal"}},
		"pool": {[]conditions.User{{VirtualIP: "main", Pool: "metallb-system/pacs", Range: "192.0.2.96/28"}}, nil,
			[]string{"192.0.2.100", "metallb-system/pacs (192.0.2.96/28)", "kubectl edit ipaddresspools.metallb.io --namespace metallb-system pacs"}},
		"beside what a director found": {[]conditions.User{{VirtualIP: "main", Service: "web/portal"}}, []metav1.Condition{broken},
			[]string{"web/portal", "Director node-1: Server pacs-a answers."}},
	} {
		t.Run(name, func(t *testing.T) {
			in := working()
			in.Users = tc.users
			in.Reports[0].Status.Conditions = append(in.Reports[0].Status.Conditions, tc.reported...)
			c := meta.FindStatusCondition(conditions.Fold(in).Conditions, v1alpha1.ConditionNetworkSound)
			if c.Status != isFalse || c.Reason != v1alpha1.ReasonUsedInCluster {
				t.Errorf("got %+v", c)
			}
			for _, part := range tc.says {
				if !strings.Contains(c.Message, part) {
					t.Errorf("%q does not say %q", c.Message, part)
				}
			}
		})
	}
}

// TestFoldIsAlwaysWholeAndStable holds for every case: all conditions are there and speak of this
// generation, and folding again from the result changes nothing.
func TestFoldIsAlwaysWholeAndStable(t *testing.T) {
	for name, tc := range foldCases() {
		t.Run(name, func(t *testing.T) {
			in := working()
			tc.change(&in)
			first := conditions.Fold(in)
			for i, c := range first.Conditions {
				if c.Type != kinds[i] || c.ObservedGeneration != 7 || c.Reason == "" || c.Message == "" || !c.LastTransitionTime.Time.Equal(now()) {
					t.Errorf("condition %d: %+v", i, c)
				}
			}
			if len(first.Conditions) != len(kinds) || first.ObservedGeneration != 7 {
				t.Fatalf("got %d conditions of generation %d", len(first.Conditions), first.ObservedGeneration)
			}
			in.Balancer.Status = first
			in.Now = in.Now.Add(500 * time.Millisecond)
			second := conditions.Fold(in)
			if !conditions.Equal(first, second) {
				t.Errorf("a second fold differs:\n%s", cmp.Diff(first, second))
			}
			if got := conditions.Transitions(first, second); len(got) > 0 {
				t.Errorf("a second fold makes events: %+v", got)
			}
		})
	}
}
