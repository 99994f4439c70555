// Package render turns the settings of an installation into the two DaemonSets that do the work:
// truepacs-agent and truepacs-proxy.
//
// It is pure: the same settings give the same bytes. It knows no TruePACSBalancer, so that one
// tenant's edit can never roll every director; a test over the package's imports holds that.
//
// It may import the standard library, k8s.io/api, k8s.io/apimachinery, client-go's apply
// configurations, sigs.k8s.io/json and yaml, and internal/apply; nothing else of this module.
package render
