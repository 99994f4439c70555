// Package changes shows that a front that works goes on working while it is changed: edits of its manifest, renewed
// certificates and upgrades of the program, under load by wrk and h2load and under connections that stay.
//
// The front is the shipped program with shipped defaults, as docs/guides/plain-host.md has it. A change counts once a client
// has seen it in force.
package changes
