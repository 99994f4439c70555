package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Indices of devconf values (include/uapi/linux/ip.h, IPV4_DEVCONF_*).
var devconfIndex = map[string]int{
	"rp_filter": 8, "arp_announce": 18, "arp_ignore": 19, "arp_notify": 22, "accept_local": 23,
}

const (
	inetConf     = 1  // IFLA_INET_CONF
	addressProto = 11 // IFA_PROTO, since Linux 5.18
)

// askFamily resolves a generic netlink family, which has the kernel load the module
// that offers it. Argument: name.
func askFamily(args []string) error {
	if len(args) != 1 {
		return errors.New("family: the name is missing")
	}
	request := nl.NewNetlinkRequest(unix.GENL_ID_CTRL, 0)
	request.AddData(&nl.Genlmsg{Command: nl.GENL_CTRL_CMD_GETFAMILY, Version: nl.GENL_CTRL_VERSION})
	request.AddData(nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(args[0])))
	messages, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return fmt.Errorf("family %s: %w", args[0], err)
	}
	fmt.Printf("family %s: %d answer\n", args[0], len(messages))
	return nil
}

// setDevconf sets per-interface IPv4 settings by RTM_SETLINK with IFLA_AF_SPEC,
// AF_INET, IFLA_INET_CONF. Arguments: interface, then name=value.
func setDevconf(args []string) error {
	if len(args) < 2 {
		return errors.New("devconf-set: interface and settings are missing")
	}
	link, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(link.Index)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	values := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(inetConf, nil)
	for _, setting := range args[1:] {
		name, text, _ := strings.Cut(setting, "=")
		value, err := strconv.ParseUint(text, 10, 32)
		if err != nil || devconfIndex[name] == 0 {
			return fmt.Errorf("devconf-set: setting %q", setting)
		}
		values.AddRtAttr(devconfIndex[name], nl.Uint32Attr(uint32(value)))
	}
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	request.AddData(header)
	request.AddData(spec)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("RTM_SETLINK: %w", err)
	}
	return nil
}

// showDevconf reads settings back by RTM_GETLINK. Arguments: interface, names.
func showDevconf(args []string) error {
	if len(args) < 2 {
		return errors.New("devconf: interface and names are missing")
	}
	link, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(link.Index)
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.AddData(header)
	messages, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("RTM_GETLINK: %d answers: %w", len(messages), err)
	}
	values, err := nested(messages[0][unix.SizeofIfInfomsg:], unix.IFLA_AF_SPEC, unix.AF_INET, inetConf)
	if err != nil {
		return err
	}
	for _, name := range args[1:] {
		at := (devconfIndex[name] - 1) * 4 // the array has no place for index 0
		fmt.Printf("%s=%d\n", name, binary.NativeEndian.Uint32(values[at:]))
	}
	return nil
}

// nested returns the value of an attribute within attributes.
func nested(data []byte, path ...uint16) ([]byte, error) {
	for _, want := range path {
		attributes, err := nl.ParseRouteAttr(data)
		if err != nil {
			return nil, err
		}
		found := false
		for _, attribute := range attributes {
			if attribute.Attr.Type&^uint16(unix.NLA_F_NESTED) == want {
				data, found = attribute.Value, true
			}
		}
		if !found {
			return nil, fmt.Errorf("attribute %d of %v is missing", want, path)
		}
	}
	return data, nil
}

// addAddress adds a /32. Arguments: interface, address, label, protocol number.
func addAddress(args []string) error {
	if len(args) != 4 {
		return errors.New("address-add: interface, address, label and protocol are missing")
	}
	link, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	proto, err := strconv.ParseUint(args[3], 10, 8)
	if err != nil {
		return err
	}
	header := nl.NewIfAddrmsg(unix.AF_INET)
	header.Index, header.Prefixlen = uint32(link.Index), 32
	address := net.ParseIP(args[1]).To4()
	request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	request.AddData(header)
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, address))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, address))
	request.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(args[2])))
	request.AddData(nl.NewRtAttr(addressProto, []byte{byte(proto)}))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("RTM_NEWADDR: %w", err)
	}
	return nil
}

// showAddress prints label and protocol of an address. Argument: address.
func showAddress(args []string) error {
	if len(args) != 1 {
		return errors.New("address: the address is missing")
	}
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(unix.AF_INET))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return fmt.Errorf("RTM_GETADDR: %w", err)
	}
	for _, message := range messages {
		attributes := message[unix.SizeofIfAddrmsg:]
		local, err := nested(attributes, unix.IFA_LOCAL)
		if err != nil || !net.IP(local).Equal(net.ParseIP(args[0])) {
			continue
		}
		label, err := nested(attributes, unix.IFA_LABEL)
		if err != nil {
			return err
		}
		proto, err := nested(attributes, addressProto)
		if err != nil {
			return fmt.Errorf("IFA_PROTO does not come back: %w", err)
		}
		fmt.Printf("label=%s proto=%d\n", nl.BytesToString(label), proto[0])
		return nil
	}
	return fmt.Errorf("no address %s", args[0])
}
