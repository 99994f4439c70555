// Package paths is the scene of the suites of faults: a balancer with one TCP service on each path
// through the product, flow servers behind it, and connections and transfers on both paths that
// must survive. It serves sites and installed clusters alike.
//
// It may import api, e2e/flow, e2e/lab, e2e/site and e2e/suite.
package paths
