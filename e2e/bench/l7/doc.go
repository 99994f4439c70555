// Package l7 measures what layer 7 costs the shipped binary, beside HAProxy and nginx that do the equal (package
// peers): processor time for each small request, connection, handshake and GiB, memory of idle connections and of a
// reader that stalls, and the time that it adds.
//
// Every front is a host of its own, a network namespace, with the load and the servers either in it too (path
// loopback) or each on another host at the end of a pair of interfaces (path veth). Fronts take turns under the same
// number of exchanges, in another order in each round; what is compared is the median of the rounds' ratios. Witnesses are
// /proc and the load, which compares every byte (package traffic). Nothing is pinned: load, front and servers share
// all cores, each in a session of its own.
//
// A sample that differs in bytes, that is empty or in which anything failed fails the test. Ratios are judged when
// L7_SECONDS says how long samples are to be; without, samples are too small for that.
//
// It may import dataplane/netif/netnstest, e2e/lab, e2e/peers and e2e/suite.
package l7
