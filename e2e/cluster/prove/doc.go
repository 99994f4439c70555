// Package prove holds experiments on a real kubelet and kernel: what the product's pods may and may not do
// there. The design rests on their results; each test prints a verdict with its evidence, and fails when
// kernel or kubelet stop behaving as the design assumes.
//
// It may import package cluster and the lab.
package prove
