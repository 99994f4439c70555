// Package manifest reads the files of a host that runs without a cluster (truepacs run -f DIR):
// TruePACSBalancers and Secrets as YAML or JSON, the same text that kubectl takes.
//
// It is strict, so that a slip of the pen is found here and not at night: unknown and double
// fields, mistyped values and ambiguous numbers are refused with file, line and what to write
// instead. One bad file or document never hides the good ones. Input is bounded in size, number
// and depth; aliases cannot blow it up.
//
// The package may import api/v1alpha1, internal/schema and apimachinery. No value of a Secret
// gets into a message.
package manifest
