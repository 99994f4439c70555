// Package checks measures what a thousand health checks a second cost the shipped program, and how
// soon it finds servers down. The program runs on a host of its own, a network namespace, and the
// servers on another; between them is a wire that a third party carries frames over, so that the
// servers' half of a connection is not counted as the program's. The third party is also the witness
// of what was asked and answered.
//
// It may import dataplane/netif/netnstest, e2e/site and e2e/suite.
package checks
