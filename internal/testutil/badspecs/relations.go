package badspecs

func span(first, last int64) Block { return Block{"first": first, "last": last} }

// badPorts are ports that do not go together.
func badPorts() map[string]Case {
	return map[string]Case{
		"neither ports nor ranges": {Edits{L4 + ".ports": Drop{}}, Edits{L4 + ".ports": List{int64(104)}}, L4, "needs ports"},
		"ranges with L7SNAT":       {Edits{l7 + ".portRanges": List{span(8000, 8009)}}, Edits{}, l7, "portRanges need a layer 4 mode"},
		"range upside down":        {Edits{L4 + ".portRanges": List{span(3000, 2000)}}, Edits{L4 + ".portRanges": List{span(2000, 3000)}}, L4 + ".portRanges[0]", "the lower port as first"},
		"ranges that overlap":      {Edits{L4 + ".portRanges": List{span(2000, 3000), span(3000, 4000)}}, Edits{L4 + ".portRanges": List{span(2000, 3000), span(3001, 4000)}}, L4, "write ranges that have no port in common"},
		"one range twice":          {Edits{L4 + ".portRanges": List{span(2000, 3000), span(2000, 3000)}}, Edits{L4 + ".portRanges": List{span(2000, 3000)}}, L4, "write ranges that have no port in common"},
		"a port within a range":    {Edits{L4 + ".portRanges": List{span(11000, 12000)}}, Edits{L4 + ".portRanges": List{span(12000, 13000)}}, L4, "remove it from ports"},
		"UDP with L7SNAT":          {Edits{l7 + ".protocol": "UDP"}, Edits{l7 + ".protocol": "TCP"}, l7, "UDP needs a layer 4 mode"},
		"L4DR with pool port":      {Edits{pool + ".port": int64(11112)}, Edits{pool + ".port": Drop{}}, "spec", "remove port from the server pool"},
		"L4DR with server port":    {Edits{srv + ".port": int64(11112)}, Edits{srv + ".port": Drop{}}, "spec", "remove port from the pool's servers"},
		"L4Tunnel with pool port":  {Edits{L4 + ".mode": "L4Tunnel", pool + ".port": int64(11112)}, Edits{L4 + ".mode": "L4NAT", L4 + ".layer4": Drop{}, pool + ".port": int64(11112)}, "spec", "remove port from the server pool"},
		"L4Tunnel and server port": {Edits{L4 + ".mode": "L4Tunnel", srv + ".port": int64(11112)}, Edits{L4 + ".mode": "L4SNAT", L4 + ".layer4": Drop{}, srv + ".port": int64(11112)}, "spec", "remove port from the pool's servers"},
		"fallback port with L4DR":  {Edits{spare: List{Block{"name": "standby", "address": "192.0.2.13", "port": int64(11112)}}}, Edits{spare: List{Block{"name": "standby", "address": "192.0.2.13", "port": int64(11112), "mode": "L4NAT"}}, L4 + ".layer4": Drop{}}, "spec", "write mode: L4NAT there"},
		"pool port, fallback L4DR": {Edits{L4 + ".mode": "L4NAT", pool + ".port": int64(11112), spare: List{Block{"name": "standby", "address": "192.0.2.13", "mode": "L4DR"}}}, Edits{L4 + ".mode": "L4NAT", spare: List{Block{"name": "standby", "address": "192.0.2.13", "mode": "L4DR"}}}, "spec", "write mode: L4NAT there"},
	}
}

// badModes are virtual IPs and servers that a mode cannot join.
func badModes() map[string]Case {
	v6 := func(mode string) Edits {
		return Edits{L4 + ".mode": mode, srv + ".address": "2001:db8::11", pool + ".servers[1].address": "2001:db8::12"}
	}
	v4 := func(mode string) Edits {
		return Edits{L4 + ".mode": mode, srv + ".address": "192.0.2.11", pool + ".servers[1].address": "192.0.2.12"}
	}
	return map[string]Case{
		"VIP is IPv6":               {Edits{VIP + ".address": "2001:db8::64"}, Edits{VIP + ".address": "192.0.2.100"}, "spec", "no IPv6 server"},
		"L4DR, servers are IPv6":    {v6("L4DR"), v4("L4DR"), "spec", "no IPv4 server"},
		"L4NAT, servers are IPv6":   {v6("L4NAT"), v4("L4NAT"), "spec", "no IPv4 server"},
		"L4SNAT, servers are IPv6":  {v6("L4SNAT"), v4("L4SNAT"), "spec", "no IPv4 server"},
		"L4Tunnel, servers IPv6":    {v6("L4Tunnel"), v4("L4Tunnel"), "spec", "no IPv4 server"},
		"a gateway with a service":  {Edits{VIP + ".role": "Gateway"}, Edits{VIP + ".role": "Service"}, "spec", "write role: Service there"},
		"prefix length 33":          {Edits{L4 + ".layer4.persistence.clientPrefixLength": int64(33)}, Edits{L4 + ".layer4.persistence.clientPrefixLength": int64(24)}, "spec", "1 to 32"},
		"check by VIP with L4NAT":   {Edits{L4 + ".mode": "L4NAT", echo + ".via": "VirtualIP"}, Edits{L4 + ".mode": "L4NAT", echo + ".via": "RealServer"}, "spec", "write via: RealServer"},
		"check by VIP with L7SNAT":  {Edits{httpc + ".via": "VirtualIP"}, Edits{httpc + ".via": "RealServer"}, "spec", "write via: RealServer"},
		"agent check by VIP":        {Edits{echo: Block{"type": "Agent", "via": "VirtualIP", "agent": Block{"port": int64(9999)}}}, Edits{}, echo, "write via: RealServer"},
		"min without max":           {Edits{srv + ".minConnections": int64(5)}, Edits{srv + ".maxConnections": int64(10), srv + ".minConnections": int64(5)}, srv, "write maxConnections above it"},
		"min as great as max":       {Edits{srv + ".maxConnections": int64(5), srv + ".minConnections": int64(5)}, Edits{srv + ".maxConnections": int64(6), srv + ".minConnections": int64(5)}, srv, "write maxConnections above it"},
		"min without max, fallback": {Edits{spare: List{Block{"name": "standby", "address": "192.0.2.13", "minConnections": int64(5)}}}, Edits{spare: List{Block{"name": "standby", "address": "192.0.2.13"}}}, spare + "[0]", "write maxConnections above it"},
	}
}

// badSchedulers are settings of layer 4 that contradict each other.
func badSchedulers() map[string]Case {
	l4 := func(b Block) Edits { return Edits{L4 + ".layer4": b} }
	udp := func(b Block) Edits { return Edits{L4 + ".layer4": b, L4 + ".protocol": "UDP"} }
	return map[string]Case{
		"hash input without hash":   {l4(Block{"hashInput": "SourceAddress"}), l4(Block{"hashInput": "SourceAddress", "scheduler": "SourceHash"}), L4 + ".layer4", "write one of these schedulers"},
		"hash input for another":    {l4(Block{"hashInput": "SourceAddressAndPort", "scheduler": "NeverQueue"}), l4(Block{"hashInput": "SourceAddressAndPort", "scheduler": "MaglevHash"}), L4 + ".layer4", "write one of these schedulers"},
		"failback of another":       {l4(Block{"failback": Block{"holdDownSeconds": int64(60)}}), l4(Block{}), L4 + ".layer4", "write scheduler: WeightedFailover"},
		"UDP scheduling of TCP":     {l4(Block{"udpScheduling": "Connection"}), udp(Block{"udpScheduling": "Connection"}), L4, "write protocol: UDP"},
		"packets that stick":        {udp(Block{"udpScheduling": "Packet", "persistence": Block{}}), udp(Block{"udpScheduling": "Packet"}), L4 + ".layer4", "remove persistence"},
		"packets of TCP that stick": {l4(Block{"udpScheduling": "Packet", "persistence": Block{}}), l4(Block{"persistence": Block{}}), L4, "remove persistence"},
	}
}

// badAtLayer7 are settings of pools that layer 4 alone knows, in a pool of layer 7.
func badAtLayer7() map[string]Case {
	const says, suite = "which layer 4 alone can do", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	checks := web + ".healthChecks"
	return map[string]Case{
		"fallback at layer 7":       {Edits{web + ".fallbackServers": List{Block{"name": "standby", "address": "192.0.2.13"}}}, Edits{}, "spec", says},
		"slow start at layer 7":     {Edits{web + ".slowStartSeconds": int64(30)}, Edits{}, "spec", says},
		"max at layer 7":            {Edits{web + ".servers[0].maxConnections": int64(30)}, Edits{}, "spec", says},
		"agent check at layer 7":    {Edits{checks: List{agent(9999, "x")}}, Edits{}, "spec", says},
		"external check at layer 7": {Edits{checks: List{external("check.sh")}}, Edits{}, "spec", says},
		"suites with TLS 1.3":       {Edits{l7 + ".layer7.tls.cipherSuites": List{suite}, l7 + ".layer7.tls.minVersion": "TLS13"}, Edits{l7 + ".layer7.tls.cipherSuites": List{suite}, l7 + ".layer7.tls.minVersion": "TLS12"}, l7 + ".layer7.tls", "remove cipherSuites, or write minVersion: TLS12"},
		"L4 pool in a route":        {Edits{pool + ".slowStartSeconds": int64(30), route + ".serverPool": "archive"}, Edits{route + ".serverPool": "archive"}, "spec", says},
	}
}

// badSources are pools with servers from two sources or none, and checks with the settings of
// another type.
func badSources() map[string]Case {
	service := Block{"name": "archive", "portName": "dicom"}
	return map[string]Case{
		"servers and a Service":      {Edits{pool + ".serviceRef": service}, Edits{}, pool, "exactly one of servers and serviceRef"},
		"neither servers nor a ref":  {Edits{pool + ".servers": Drop{}}, Edits{}, pool, "exactly one of servers and serviceRef"},
		"port beside a Service":      {Edits{web + ".servers": Drop{}, web + ".serviceRef": service}, Edits{}, web, "remove port"},
		"two ports and a Service":    {Edits{pool + ".servers": Drop{}, pool + ".serviceRef": service}, Edits{}, "spec", "write one entry in ports"},
		"a range and a Service":      {Edits{pool + ".servers": Drop{}, pool + ".serviceRef": service, L4 + ".ports": Drop{}, L4 + ".portRanges": List{span(104, 105)}}, Edits{}, "spec", "write one entry in ports"},
		"a name in both lists":       {Edits{spare: List{Block{"name": "pacs-a", "address": "192.0.2.13"}}}, Edits{spare: List{Block{"name": "standby", "address": "192.0.2.13"}}}, pool, "write names that differ"},
		"external of another type":   {Edits{echo + ".external": Block{"name": "check.sh"}}, Edits{}, echo, "write type: External"},
		"External without program":   {Edits{echo: Block{"type": "External"}}, Edits{}, echo, "external.name"},
		"agent of another type":      {Edits{echo + ".agent": Block{"port": int64(9999)}}, Edits{}, echo, "write type: Agent"},
		"Agent without port":         {Edits{echo: Block{"type": "Agent"}}, Edits{}, echo, "agent.port"},
		"Agent with port beside":     {Edits{echo: Block{"type": "Agent", "port": int64(104), "agent": Block{"port": int64(9999)}}}, Edits{}, echo, "remove port"},
		"External check through VIP": {Edits{echo: Block{"type": "External", "via": "VirtualIP", "external": Block{"name": "check.sh"}}}, Edits{}, echo, "write via: RealServer"},
	}
}
