// Package drivers runs the contracts of the data plane's drivers on a real kernel with IPVS: in
// a virtual machine of the lab, whatever the kernel of the machine that runs the tests has.
//
// The tests of package inside and of the driver packages are built as static programs and run in
// the machine.
package drivers
