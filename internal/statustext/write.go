// Package statustext prints balancers with their status for a person: what is wrong and the next
// step first, then everything else. It is pure; it may import api/v1alpha1 and API machinery.
package statustext

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Write prints the balancers, and problems that belong to none of them.
func Write(w io.Writer, balancers []v1alpha1.TruePACSBalancer, problems []string) error {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "PROBLEM  %s\n", p)
	}
	if len(balancers) == 0 && len(problems) == 0 {
		b.WriteString("No balancer is configured.\n")
	}
	for i := range balancers {
		if i > 0 || len(problems) > 0 {
			b.WriteByte('\n')
		}
		one(&b, &balancers[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// one prints a balancer: headline, causes, addresses, servers.
func one(b *strings.Builder, tpb *v1alpha1.TruePACSBalancer) {
	fmt.Fprintf(b, "%s/%s  %s\n", tpb.Namespace, tpb.Name, headline(tpb.Status.Conditions))
	causes(b, tpb.Status.Conditions)
	for _, vip := range tpb.Status.VirtualIPs {
		holder := "held by nobody"
		if vip.ActiveNode != "" {
			holder = "held by " + vip.ActiveNode + " on " + vip.Interface
		}
		fmt.Fprintf(b, "  %s  %s  %s\n", vip.Name, vip.Address, holder)
	}
	servers(b, tpb.Status.VirtualServices)
	certificates(b, tpb.Status.VirtualServices)
}

// causes prints what is wrong, and what is not known, each once.
func causes(b *strings.Builder, list []metav1.Condition) {
	said := map[string]bool{}
	for _, c := range list {
		line := c.Reason + ": " + c.Message
		if said[line] || !telling(c) {
			continue
		}
		said[line] = true
		sign := "!"
		if c.Status == metav1.ConditionUnknown {
			sign = "?"
		}
		fmt.Fprintf(b, "  %s %s\n", sign, line)
	}
}

func headline(list []metav1.Condition) string {
	for _, c := range list {
		if c.Type == v1alpha1.ConditionReady {
			switch c.Status {
			case metav1.ConditionTrue:
				return "Ready"
			case metav1.ConditionUnknown:
				return "NOT KNOWN"
			}
			return "NOT READY"
		}
	}
	return "no status yet"
}

// telling tells whether a condition is a cause worth a line: the summaries repeat another's.
func telling(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
		return false
	case v1alpha1.ConditionCertificatesValid:
		if c.Reason == v1alpha1.ReasonExpiresWithin30Days {
			return true
		}
	}
	return c.Status != metav1.ConditionTrue
}

func servers(b *strings.Builder, services []v1alpha1.VirtualServiceStatus) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  SERVICE\tPOOL\tSERVER\tSTATE\tHEALTH\tWHY")
	for _, service := range services {
		for _, s := range service.ServerStates {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", service.Name, s.ServerPool, s.Name, s.State, s.Health, why(s))
		}
	}
	_ = table.Flush() // a strings.Builder takes everything
}

// certificates prints what expires, if there is something.
func certificates(b *strings.Builder, services []v1alpha1.VirtualServiceStatus) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	first := true
	for _, service := range services {
		for _, c := range service.Certificates {
			if first {
				fmt.Fprintln(table, "  SERVICE\tSECRET\tKIND\tSUBJECT\tEXPIRES")
				first = false
			}
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", service.Name, c.Secret, c.Kind, c.Subject, c.NotAfter)
		}
	}
	_ = table.Flush()
}

func why(s v1alpha1.ServerState) string {
	if s.Reason == "" {
		return ""
	}
	return s.Reason + ": " + s.Message
}
