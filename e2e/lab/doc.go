// Package lab builds a local network whose hosts are network namespaces or
// virtual machines with Debian's kernel: files in, commands in, output out, power
// off, cable pull, capture. It serves tests and the demonstration program alike.
//
//	l, err := lab.New(lab.Options{Name: "dr"})
//	defer l.Close()
//	lan, err := l.Network("lan")
//	client, err := l.Namespace("client", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.50/24")})
//	director, err := l.Machine("lb1", lab.MachineSpec{
//		NICs:  []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}},
//		Tools: []string{"ipvsadm", "nft"},
//	})
//	result, err := director.Run(ctx, "ipvsadm", "-Ln")
//
// A lab lives in namespaces of its own: the network of the machine it runs on gets
// no interface, address, route or setting. All its processes are in one PID
// namespace, whose end is theirs; a supervisor ends it and removes the files when
// the lab is closed or the test is killed, SIGKILL included. New sweeps what is
// left when the supervisor was killed as well.
//
// It needs root, and of the machine's programs: the Go command, tcpdump, and for
// machines qemu-system-x86_64, busybox (static), kmod, apt, dpkg, mkfs.ext4.
// A missing program is an error that names its package.
//
// The package imports nothing of the product.
package lab
