// Package restarts shows that faults of the product's own processes cut no connection: kill -9,
// restarts with every kind of state file, and the whole machine losing its power.
package restarts
