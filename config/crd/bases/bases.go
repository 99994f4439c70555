// Package bases carries the generated CustomResourceDefinitions, so that the binary can validate
// files with the very schema the API server uses. It imports the standard library only.
package bases

import _ "embed"

//go:embed lb.truepacs.io_truepacsbalancers.yaml
var truePACSBalancers string

// TruePACSBalancers returns the CustomResourceDefinition of TruePACSBalancer as YAML.
func TruePACSBalancers() []byte { return []byte(truePACSBalancers) }
