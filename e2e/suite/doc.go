// Package suite is what suites of faults have in common: a first error that ends a test, and
// parts of a long run that can be made again by seed and number.
//
// It imports the standard library only.
package suite
