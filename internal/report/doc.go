// Package report says what a director sees of a TruePACSBalancer: it joins what translation
// decided with what the agent observed. It is pure and used alike in a cluster and on plain
// hosts. It may import api/v1alpha1, dataplane/agent, dataplane/certs, dataplane/drain,
// dataplane/model, internal/conditions and
// internal/translate.
package report
