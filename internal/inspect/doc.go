// Package inspect answers what an administrator asks about the traffic of a running director: what a
// client would get and why, who is connected to what, and how much has passed. It reads and changes
// nothing. The answers go over a unix socket to the commands explain, connections and stats, on plain
// hosts and in clusters alike.
//
// It may import dataplane/....
package inspect
