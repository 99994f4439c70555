package badspecs

// badAddresses are addresses of both families.
func badAddresses() map[string]Case {
	good := Edits{VIP + ".address": "192.0.2.100"}
	server := Edits{srv + ".address": "192.0.2.11"}
	return map[string]Case{
		"VIP mapped into IPv6":       {Edits{VIP + ".address": "::ffff:192.0.2.100"}, good, VIP + ".address", "not mapped"},
		"VIP with zone":              {Edits{VIP + ".address": "2001:db8::64%eth0"}, good, VIP + ".address", "zone"},
		"VIP IPv6 with prefix":       {Edits{VIP + ".address": "2001:db8::64/64"}, good, VIP + ".address", "without prefix length"},
		"VIP in capitals":            {Edits{VIP + ".address": "2001:DB8::64"}, good, VIP + ".address", "canonical"},
		"VIP with zeros":             {Edits{VIP + ".address": "2001:db8:0::64"}, good, VIP + ".address", "RFC 5952"},
		"VIP is loopback of IPv6":    {Edits{VIP + ".address": "::1"}, good, VIP + ".address", "loopback"},
		"VIP is link-local of IPv6":  {Edits{VIP + ".address": "fe80::64"}, good, VIP + ".address", "link-local"},
		"VIP is multicast of IPv6":   {Edits{VIP + ".address": "ff02::1"}, good, VIP + ".address", "unicast"},
		"VIP is unspecified of IPv6": {Edits{VIP + ".address": "::"}, good, VIP + ".address", "unicast"},
		"unknown role":               {Edits{VIP + ".role": "Router"}, Edits{VIP + ".role": "Service"}, VIP + ".role", "Gateway"},
		"server mapped into IPv6":    {Edits{srv + ".address": "::ffff:192.0.2.11"}, server, srv + ".address", "not mapped"},
		"server not canonical":       {Edits{srv + ".address": "2001:db8::000b"}, server, srv + ".address", "canonical"},
		"server is multicast, IPv6":  {Edits{srv + ".address": "ff05::2"}, server, srv + ".address", "unicast"},
		"server is link-local, IPv6": {Edits{srv + ".address": "fe80::11"}, server, srv + ".address", "link-local"},
		"server is loopback of IPv6": {Edits{srv + ".address": "::1"}, server, srv + ".address", "loopback"},
		"tcp timeout 0":              {Edits{"spec.directors.layer4Timeouts.tcpSeconds": int64(0)}, Edits{"spec.directors.layer4Timeouts.tcpSeconds": int64(900)}, "spec.directors.layer4Timeouts.tcpSeconds", "1 to 2678400"},
		"fin timeout as text":        {Edits{"spec.directors.layer4Timeouts.tcpFinSeconds": "2m"}, Edits{"spec.directors.layer4Timeouts.tcpFinSeconds": int64(120)}, "spec.directors.layer4Timeouts.tcpFinSeconds", "without quotes"},
		"udp timeout of 32 days":     {Edits{"spec.directors.layer4Timeouts.udpSeconds": int64(86400 * 32)}, Edits{"spec.directors.layer4Timeouts.udpSeconds": int64(86400 * 31)}, "spec.directors.layer4Timeouts.udpSeconds", "1 to 2678400"},
	}
}

// badServers are settings of servers and fallback servers.
func badServers() map[string]Case {
	standby := func(more ...any) List {
		b := Block{"name": "standby", "address": "192.0.2.13"}
		for i := 0; i < len(more); i += 2 {
			b[more[i].(string)] = more[i+1]
		}
		return List{b}
	}
	good := Edits{spare: standby()}
	return map[string]Case{
		"unknown server state":     {Edits{srv + ".state": "Off"}, Edits{srv + ".state": "Maintenance"}, srv + ".state", "Drain"},
		"no connections allowed":   {Edits{srv + ".maxConnections": int64(0)}, Edits{srv + ".maxConnections": int64(1)}, srv + ".maxConnections", "1 to 1000000"},
		"too many connections":     {Edits{srv + ".maxConnections": int64(1000001)}, Edits{srv + ".maxConnections": int64(1000000)}, srv + ".maxConnections", "1 to 1000000"},
		"min connections 0":        {Edits{srv + ".minConnections": int64(0), srv + ".maxConnections": int64(9)}, Edits{srv + ".minConnections": int64(1), srv + ".maxConnections": int64(9)}, srv + ".minConnections", "1 to 1000000"},
		"slow start of two hours":  {Edits{pool + ".slowStartSeconds": int64(7200)}, Edits{pool + ".slowStartSeconds": int64(3600)}, pool + ".slowStartSeconds", "0 to 3600"},
		"slow start negative":      {Edits{pool + ".slowStartSeconds": int64(-1)}, Edits{pool + ".slowStartSeconds": int64(0)}, pool + ".slowStartSeconds", "0 to 3600"},
		"no fallback servers":      {Edits{spare: List{}}, good, spare, "1 to 64"},
		"fallback server twice":    {Edits{spare: append(standby(), standby("address", "192.0.2.14")...)}, good, spare + "[1]", "twice"},
		"fallback without address": {Edits{spare: List{Block{"name": "standby"}}}, good, spare + "[0].address", "is missing"},
		"fallback is multicast":    {Edits{spare: standby("address", "239.1.1.1")}, good, spare + "[0].address", "unicast"},
		"fallback by L4SNAT":       {Edits{spare: standby("mode", "L4SNAT")}, Edits{spare: standby("mode", "L4NAT")}, spare + "[0].mode", "L4Tunnel"},
		"external with a path":     {Edits{echo: external("../check")}, Edits{}, echo + ".external.name", "no slash"},
		"external in capitals":     {Edits{echo: external("Check.sh")}, Edits{}, echo + ".external.name", "lower-case"},
		"agent port 0":             {Edits{echo: agent(0, "x")}, Edits{}, echo + ".agent.port", "1 to 65535"},
		"agent text with break":    {Edits{echo: agent(9999, "a\nb")}, Edits{}, echo + ".agent.send", "printable ASCII"},
		"agent text empty":         {Edits{echo: agent(9999, "")}, Edits{}, echo + ".agent.send", "printable ASCII"},
		"unknown way of a check":   {Edits{echo + ".via": "Gateway"}, Edits{echo + ".via": "RealServer"}, echo + ".via", "VirtualIP"},
	}
}

func external(name string) Block { return Block{"type": "External", "external": Block{"name": name}} }

func agent(port int64, send string) Block {
	return Block{"type": "Agent", "agent": Block{"port": port, "send": send}}
}

// badServiceRefs are references to Services. Remedies do without, for plain hosts.
func badServiceRefs() map[string]Case {
	ref := func(b Block) Edits { return Edits{pool + ".servers": Drop{}, pool + ".serviceRef": b} }
	return map[string]Case{
		"Service without name":      {ref(Block{"portName": "dicom"}), Edits{}, pool + ".serviceRef.name", "is missing"},
		"Service of a namespace":    {ref(Block{"name": "other/archive"}), Edits{}, pool + ".serviceRef.name", "lower-case"},
		"Service port is a number":  {ref(Block{"name": "archive", "portName": int64(104)}), Edits{}, pool + ".serviceRef.portName", "a text"},
		"Service port in capitals":  {ref(Block{"name": "archive", "portName": "DICOM"}), Edits{}, pool + ".serviceRef.portName", "lower-case"},
		"Service with namespace":    {ref(Block{"name": "archive", "namespace": "other"}), Edits{}, pool + ".serviceRef.namespace", "there is no such field"},
		"Service and its number":    {ref(Block{"name": "archive", "port": int64(104)}), Edits{}, pool + ".serviceRef.port", "Fields here: name, portName"},
		"Service written as a text": {Edits{pool + ".servers": Drop{}, pool + ".serviceRef": "archive"}, Edits{}, pool + ".serviceRef", "block of fields"},
	}
}

// badLayer4 are settings of virtual services at layer 4.
func badLayer4() map[string]Case {
	set := func(name string, value any) Edits { return Edits{L4 + ".layer4." + name: value} }
	ranges := func(n int) List {
		var out List
		for i := range n {
			out = append(out, Block{"first": int64(20000 + 10*i), "last": int64(20005 + 10*i)})
		}
		return out
	}
	return map[string]Case{
		"range from port 0":       {Edits{L4 + ".portRanges": List{Block{"first": int64(0), "last": int64(9)}}}, Edits{L4 + ".portRanges": ranges(1)}, L4 + ".portRanges[0].first", "1 to 65535"},
		"range without end":       {Edits{L4 + ".portRanges": List{Block{"first": int64(1000)}}}, Edits{L4 + ".portRanges": ranges(1)}, L4 + ".portRanges[0].last", "is missing"},
		"range as a text":         {Edits{L4 + ".portRanges": List{"1000-1010"}}, Edits{L4 + ".portRanges": ranges(1)}, L4 + ".portRanges[0]", "block of fields"},
		"17 ranges":               {Edits{L4 + ".portRanges": ranges(17)}, Edits{L4 + ".portRanges": ranges(16)}, L4 + ".portRanges", "16"},
		"no ranges":               {Edits{L4 + ".portRanges": List{}}, Edits{L4 + ".portRanges": ranges(1)}, L4 + ".portRanges", "1 to 16"},
		"unknown hash input":      {set("hashInput", "URI"), Edits{}, L4 + ".layer4.hashInput", "SourceAddress"},
		"unknown UDP scheduling":  {set("udpScheduling", "Flow"), Edits{}, L4 + ".layer4.udpScheduling", "Packet"},
		"unknown way out":         {set("whenAllServersDown", "Panic"), set("whenAllServersDown", "UseAllServers"), L4 + ".layer4.whenAllServersDown", "UseAllServers"},
		"drain in no time":        {set("drainTimeoutSeconds", int64(0)), set("drainTimeoutSeconds", int64(1)), L4 + ".layer4.drainTimeoutSeconds", "1 to 604800"},
		"drain over a week":       {set("drainTimeoutSeconds", int64(604801)), set("drainTimeoutSeconds", int64(604800)), L4 + ".layer4.drainTimeoutSeconds", "1 to 604800"},
		"hold-down over a day":    {set("failback", Block{"holdDownSeconds": int64(86401)}), Edits{}, L4 + ".layer4.failback.holdDownSeconds", "0 to 86400"},
		"failback is a number":    {set("failback", int64(60)), Edits{}, L4 + ".layer4.failback", "block of fields"},
		"group name in capitals":  {set("persistence.group", "PACS"), set("persistence.group", "pacs"), L4 + ".layer4.persistence.group", "lower-case"},
		"a group that is a list":  {set("persistence.group", List{"dicom"}), set("persistence.group", "pacs"), L4 + ".layer4.persistence.group", "a text"},
		"scheduler with blanks":   {set("scheduler", "Source Hash"), set("scheduler", "SourceHash"), L4 + ".layer4.scheduler", "MaglevHash"},
		"prefix length 0":         {set("persistence.clientPrefixLength", int64(0)), set("persistence.clientPrefixLength", int64(1)), L4 + ".layer4.persistence.clientPrefixLength", "1 to 128"},
		"misspelt range":          {Edits{L4 + ".portRange": ranges(1)}, Edits{L4 + ".portRanges": ranges(1)}, L4 + ".portRange", "did you mean portRanges"},
		"misspelt server setting": {Edits{srv + ".maxConnection": int64(9)}, Edits{srv + ".maxConnections": int64(9)}, srv + ".maxConnection", "did you mean maxConnections"},
	}
}
