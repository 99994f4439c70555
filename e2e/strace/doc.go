// Package strace reads what strace(1) wrote about processes of the product, and finds in it whether
// they changed the kernel's network: IPVS, nftables, addresses, routes, links and sysctls.
//
// It imports the standard library only.
package strace
