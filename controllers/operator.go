// Package controllers wires the operator: one manager with a controller for the status of
// balancers and one for the installation's DaemonSets.
//
// It may import what controllers/balancer and controllers/installation may, internal/translate and
// pflag.
package controllers

import (
	"context"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/truepacs/balancer/controllers/balancer"
	"github.com/truepacs/balancer/controllers/installation"
	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/render"
)

// Run runs the operator until ctx ends. It refuses to start beside another installation; the
// error then wraps installation.ErrSecondInstallation and names the namespace.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	if err := installation.CheckAlone(ctx, mgr.GetAPIReader(), o.Namespace); err != nil {
		return err
	}
	if err := setup(ctx, mgr, o); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the operator: %w", err)
	}
	return nil
}

func newManager(o Options) (ctrl.Manager, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	managerOptions, err := o.manager()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return mgr, nil
}

func setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	leases := &liveness.Book{}
	balancers := &balancer.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder(Name), Validator: o.Validator,
		Namespace: o.Namespace, Leases: leases, Pools: balancer.NewPools(mgr.GetAPIReader(), mgr.GetLogger()),
	}
	if err := balancers.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	install := &installation.Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder(Name),
		Namespace: o.Namespace, SettingsPath: o.SettingsPath, Version: o.Version, Leases: leases,
	}
	if err := install.SetupWithManager(mgr); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("settings", settingsCheck(o.SettingsPath))
}

// settingsCheck keeps the operator unready while its settings are refused, so that a rollout with
// bad settings stops there and the operator that works stays.
func settingsCheck(path string) healthz.Checker {
	return func(*http.Request) error {
		_, err := render.ReadFile(path)
		return err
	}
}

// Trim drops from cached nodes and Services what nobody here reads.
func Trim(o any) (any, error) {
	if object, ok := o.(client.Object); ok {
		object.SetManagedFields(nil)
	}
	if node, ok := o.(*corev1.Node); ok {
		node.Status.Images, node.Status.VolumesAttached, node.Status.VolumesInUse = nil, nil, nil
	}
	if service, ok := o.(*corev1.Service); ok {
		balancer.TrimService(service)
	}
	return o, nil
}
