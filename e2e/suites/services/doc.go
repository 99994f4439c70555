// Package services shows what a layer 4 service does with its servers on a plain host: fallback
// servers, failover in order, persistence groups, thresholds, slow start, what happens while all are
// down, checks of every type, idle timeouts, states of servers and port ranges. Witnesses are ipvsadm,
// conntrack, captures, ss, and the servers, which name themselves and whom they see.
package services
