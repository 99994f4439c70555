// Package netwatch tells when interfaces, addresses or one nftables table of a host change, whoever
// changed them. It is for the agent, which then looks at the host at once and not with its next
// regular look. What changed is not told: the agent compares whole sets.
//
// IPVS has no such messages. It may import the standard library and golang.org/x/sys.
package netwatch
