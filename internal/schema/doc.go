// Package schema validates TruePACSBalancer objects exactly as the API server does, without an
// API server: it runs the server's own code over the generated CustomResourceDefinition that is
// embedded in the binary. No rule is written a second time here; what this package adds is
// plain words, taken from the schema where the server's message names a regular expression only.
//
// It may import config/crd/bases, api/v1alpha1 and the Kubernetes API server's libraries.
package schema
