// Package prove holds experiments on the kernel that the design rests on, as tests
// (TestProve...). Each runs in a lab machine with Debian's kernel, logs its sample
// size and verdict, and fails when the kernel behaves otherwise. None of them uses
// code of the product: they say what the kernel does, not what we do with it.
//
//	go test -v -run TestProve ./e2e/lab/prove
package prove
