// Package schedule says which server the kernel's IPVS would give a new connection, from what the
// kernel shows of a service. It decides nothing in the data path: it foretells, for those who ask why
// a client is where it is.
//
// What each scheduler does is described in net/netfilter/ipvs of the kernel (ip_vs_sh.c, ip_vs_mh.c,
// ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c, ip_vs_fo.c, ip_vs_ovf.c, ip_vs_rr.c,
// ip_vs_wrr.c) and written anew here. Three things the kernel keeps to itself, so that they leave
// several candidates:
//
//   - the place at which RoundRobin and WeightedRoundRobin stand;
//   - between its two thresholds, whether a server counts as overloaded;
//   - the last weight above 0 of a server whose weight is 0, which MaglevHash fills its table by: the
//     caller has to know it.
//
// The tables of the hashing schedulers have the sizes of a kernel that is configured as most are:
// CONFIG_IP_VS_SH_TAB_BITS=8 and CONFIG_IP_VS_MH_TAB_INDEX=12; the hash is that of machines with 64
// bits and little-endian order, which are all that the product is built for.
//
// The package may import the standard library and dataplane/model.
package schedule
