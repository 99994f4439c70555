// Package agent is the hand that the lab has inside each of its hosts: a
// server that runs commands, moves files and opens connections there, and the
// client that asks for it. The server runs in the guest program (labguest) as
// init of a virtual machine, as a systemd service, or as first process of a
// namespace; the client runs in the test.
//
// One connection carries one piece of work, so a command that runs for hours
// blocks nothing else. A connection that breaks kills the command's process
// group: nothing outlives the test that started it.
//
// The package imports the standard library and golang.org/x/sys only, so that
// the guest program stays small and static.
package agent
