package realserver

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of settings in IFLA_INET_CONF (linux/ip.h, IPV4_DEVCONF_*); an answer lists all of
// them from 1 up, four bytes each.
const (
	devconfRPFilter    = 8
	devconfArpAnnounce = 18
	devconfArpIgnore   = 19
)

// errNoAnswer means that the kernel described an interface without its IPv4 settings.
var errNoAnswer = errors.New("the kernel lists no IPv4 settings for the interface; its MTU may be below 68, which switches IPv4 off")

// Rtnetlink reads and writes the settings in the calling thread's network namespace.
type Rtnetlink struct{}

var (
	_ Sysctls = Rtnetlink{}
	_ Tunnels = Rtnetlink{}
)

// AddTunnel implements Tunnels.
func (Rtnetlink) AddTunnel(name string, ipv6 bool) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	if ipv6 {
		return netlink.LinkAdd(&netlink.Ip6tnl{LinkAttrs: attributes, Proto: unix.IPPROTO_IPV6})
	}
	return netlink.LinkAdd(&netlink.Iptun{LinkAttrs: attributes})
}

// SetUp implements Tunnels.
func (Rtnetlink) SetUp(index int, up bool) error {
	link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
	if up {
		return netlink.LinkSetUp(link)
	}
	return netlink.LinkSetDown(link)
}

// Get implements Sysctls.
func (Rtnetlink) Get(index int) (Values, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.AddData(&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}})
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return Values{}, err
	}
	for _, m := range messages {
		if v, ok := parseConf(m); ok {
			return v, nil
		}
	}
	return Values{}, errNoAnswer
}

// parseConf reads IFLA_AF_SPEC / AF_INET / IFLA_INET_CONF of an RTM_NEWLINK message.
func parseConf(m []byte) (Values, bool) {
	if len(m) < unix.SizeofIfInfomsg {
		return Values{}, false
	}
	conf := m[unix.SizeofIfInfomsg:]
	for _, level := range []uint16{unix.IFLA_AF_SPEC, unix.AF_INET, unix.IFLA_INET_CONF} {
		var there bool
		if conf, there = attribute(conf, level); !there {
			return Values{}, false
		}
	}
	if len(conf) < 4*devconfArpIgnore {
		return Values{}, false
	}
	at := func(n int) int { return int(int32(nl.NativeEndian().Uint32(conf[4*(n-1):]))) }
	return Values{ArpIgnore: at(devconfArpIgnore), ArpAnnounce: at(devconfArpAnnounce), RPFilter: at(devconfRPFilter)}, true
}

func attribute(b []byte, kind uint16) ([]byte, bool) {
	attributes, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil, false
	}
	for _, a := range attributes {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value, true
		}
	}
	return nil, false
}

// Set implements Sysctls.
func (Rtnetlink) Set(index int, v Values) error {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	request.AddData(&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}})
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	conf.AddRtAttr(devconfArpAnnounce, nl.Uint32Attr(uint32(v.ArpAnnounce)))
	conf.AddRtAttr(devconfArpIgnore, nl.Uint32Attr(uint32(v.ArpIgnore)))
	conf.AddRtAttr(devconfRPFilter, nl.Uint32Attr(uint32(v.RPFilter)))
	request.AddData(spec)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// All implements Sysctls. rtnetlink does not carry the host-wide values; /proc/sys does, and
// reading it needs no right.
func (Rtnetlink) All() (Values, error) {
	ignore, err := readSysctl("arp_ignore")
	if err != nil {
		return Values{}, err
	}
	announce, err := readSysctl("arp_announce")
	return Values{ArpIgnore: ignore, ArpAnnounce: announce}, err
}

func readSysctl(name string) (int, error) {
	path := "/proc/sys/net/ipv4/conf/all/" + name
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// Boot implements Sysctls; empty if the system does not tell.
func (Rtnetlink) Boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
