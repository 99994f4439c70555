// Package weights decides which weight each real server of a layer 4 service shall have in the
// kernel: server states, health verdicts, fallback servers with a hold-down, slow start, what agents
// on the servers say, and what happens while all are down. It is pure: no I/O, no clock of its own,
// no memory but the [Memory] that the caller hands back. Zero means: no new connections, established
// ones go on.
//
// It may import dataplane/model only.
package weights
