// Package health checks real servers and decides which of them may get traffic.
//
// A [Monitor] is given the whole set of [Target]s and keeps one goroutine for each, so that a slow
// server delays nobody else. It has one connection to a server at a time; to one that keeps silent
// as many as its threshold says, for one timeout. Every [Check] has its own rise/fall
// machine ([State]), a pure function; a target is healthy if all of its checks are. Probes are TCP
// connect, HTTP/1.1, DICOM C-ECHO, an agent on the server and an external program, which is the only
// one that starts a process. What a probe means for traffic is one of three grades: a
// fault of our own (no descriptor, no port, a local firewall rule) never takes a server out.
//
// Messages are written for the administrator of a PACS: what failed, on which address and port, and
// what to do. They hold AE titles and configured paths, and nothing that a server sent in a body.
//
// Of this module the package may import dataplane/dicom and dataplane/health/agentcheck only. It knows no Kubernetes type.
package health
