package agent

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// writeNode writes what the agent sees on its node, if it changed.
func (r *runner) writeNode(ctx context.Context, api client.Client) error {
	n := &v1alpha1.TruePACSNode{ObjectMeta: metav1.ObjectMeta{Name: r.options.Node}}
	err := api.Get(ctx, client.ObjectKeyFromObject(n), n)
	if apierrors.IsNotFound(err) {
		err = api.Create(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("write TruePACSNode %s: %w", n.Name, err)
	}
	status, err := r.nodeStatus(ctx)
	if err != nil || equality.Semantic.DeepEqual(n.Status, status) {
		return err
	}
	n.Status = status
	if err := api.Status().Update(ctx, n); err != nil {
		return fmt.Errorf("write TruePACSNode %s: %w", n.Name, err)
	}
	return nil
}

func (r *runner) nodeStatus(ctx context.Context) (v1alpha1.TruePACSNodeStatus, error) {
	status := v1alpha1.TruePACSNodeStatus{
		Role:         r.node.Role(),
		AgentVersion: r.options.Version,
		ProxyVersion: r.host.Keeper.State().Version,
		Kernel:       v1alpha1.KernelStatus{Release: kernelRelease()},
	}
	if r.isReleased() {
		status.Role = v1alpha1.NodeRoleReleased
	}
	if status.Role == v1alpha1.NodeRoleDirector {
		status.Kernel.IPVS = r.ipvs(ctx)
	}
	network, err := r.host.Network(ctx)
	if err != nil {
		return status, err
	}
	for _, i := range network.Interfaces {
		s := v1alpha1.InterfaceStatus{Name: i.Name, MTU: int32(i.MTU)}
		for _, a := range i.Addresses {
			s.Addresses = append(s.Addresses, a.String())
		}
		status.Interfaces = append(status.Interfaces, s)
	}
	status.Interfaces = status.Interfaces[:min(len(status.Interfaces), 64)]
	return status, nil
}

// ipvs asks only on directors: asking makes the kernel load the module.
func (r *runner) ipvs(ctx context.Context) string {
	if err := r.host.IPVSAvailable(ctx); err != nil {
		return cut(err.Error(), 512)
	}
	return "Available"
}

func (r *runner) isReleased() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.released && r.node.Empty()
}

func cut(text string, length int) string { return text[:min(len(text), length)] }

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return strings.TrimRight(string(name.Release[:]), "\x00")
}
