// Package preflight looks for what keeps a virtual service from working although kernel and proxy
// do what they were told: settings of this host, other programs on it, other hosts on the segment.
//
// Judge is pure: facts in, findings out, each with what to do about it. A Reader gathers the facts
// without changing anything; Facts that could not be read are absent and raise no finding.
//
// Of this module the package may import dataplane/model only.
package preflight
