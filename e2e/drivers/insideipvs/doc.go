// Package insideipvs holds the tests of dataplane/ipvs/genl and dataplane/ipvs/procfs that need a
// kernel with IPVS. They are built with the tag machine and run by package drivers in a virtual
// machine, as root.
package insideipvs
