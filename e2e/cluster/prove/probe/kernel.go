package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// family asks generic netlink for a family by its name; the kernel loads the module that claims the name.
func family(args []string) error {
	f, err := netlink.GenlFamilyGet(args[0])
	if err == nil {
		fmt.Printf("family %s has id %d, version %d\n", f.Name, f.ID, f.Version)
	}
	return err
}

// probed is the service by which IPVS is tried.
func probed(scheduler string) genl.Service {
	return genl.Service{
		ServiceID: genl.ByAddress(unix.IPPROTO_TCP, netip.MustParseAddrPort("192.0.2.99:104")), Scheduler: scheduler,
	}
}

// change asks IPVS for one change and returns the services that it then has.
func change(command genl.Command, service genl.Service) ([]genl.Service, error) {
	client, err := genl.Dial(genl.Config{})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx := context.Background()
	if err := client.Apply(ctx, []genl.Change{{Command: command, Service: service}})[0]; err != nil {
		return nil, err
	}
	return client.Services(ctx)
}

// addService creates an IPVS service with the scheduler args[0] and reads it back.
func addService(args []string) error {
	services, err := change(genl.NewService, probed(args[0]))
	for _, s := range services {
		fmt.Printf("service %s scheduler %s\n", s.Address, s.Scheduler)
	}
	return err
}

func deleteService(args []string) error {
	_, err := change(genl.DelService, probed(args[0]))
	return err
}

// nftTable makes a table with a counting rule, reads it back and removes it.
func nftTable([]string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "probe"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
	if err := c.Flush(); err != nil {
		return err
	}
	rules, err := c.GetRules(table, chain)
	fmt.Printf("table inet probe holds %d rule\n", len(rules))
	c.DelTable(table)
	if err != nil {
		return err
	}
	return c.Flush()
}

// Numbers of IPv4 interface settings, include/uapi/linux/ip.h.
const (
	devconfARPAnnounce = 18
	devconfARPIgnore   = 19
)

// inetConf sets arp_ignore and arp_announce of interface args[0] by RTM_SETLINK with IFLA_AF_SPEC, AF_INET,
// IFLA_INET_CONF (net/ipv4/devinet.c, inet_set_link_af).
func inetConf(args []string) error {
	link, err := netlink.LinkByName(args[0])
	if err != nil {
		return err
	}
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(link.Attrs().Index)
	request.AddData(header)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(1 /* IFLA_INET_CONF */, nil)
	for i, number := range []int{devconfARPIgnore, devconfARPAnnounce} {
		value, err := strconv.ParseUint(args[i+1], 10, 32)
		if err != nil {
			return err
		}
		conf.AddRtAttr(number, nl.Uint32Attr(uint32(value)))
	}
	request.AddData(spec)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return err
	}
	fmt.Println("set", args)
	return nil
}
