// Package outages shows on a real cluster that faults of agent, operator and API server cut no
// connection, and that a director whose machine restarts during an outage serves again without an
// API server and hands over when it is back.
package outages
