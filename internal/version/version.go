// Package version knows the version of this program.
package version

// version is set by the linker, see Makefile.
var version = "unknown"

// Version returns the version of this program, as git describes it; "unknown" if it was built
// without make.
func Version() string { return version }
