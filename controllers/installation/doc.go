// Package installation applies the two DaemonSets of an installation from its settings, keeps
// them as they should be, and takes them away when an uninstall asks for it.
//
// The DaemonSets are owned by their ServiceAccounts, not by the operator's Deployment: a
// Deployment is deleted and created anew by many an upgrade, and with it every director would
// stop. Nothing recreates a ServiceAccount, and removing the chart removes it and thereby the
// DaemonSets.
//
// No TruePACSBalancer is read here. The package may import api/v1alpha1 (TruePACSNode only),
// internal/apply, internal/conditions (events only), internal/render, controllers/liveness, controller-runtime and client-go.
package installation
