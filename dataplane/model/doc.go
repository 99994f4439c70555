// Package model holds the plain values that say what one host must do: which virtual IP
// addresses it holds, which layer 4 services its kernel runs, which addresses it accepts as a
// real server, which servers it checks and what its proxy does.
//
// translate makes a Node from Kubernetes objects or files, plan compares two of them, drivers
// carry them out, the agent keeps the last one on disk. The package imports the standard
// library only and knows no Kubernetes type.
package model
