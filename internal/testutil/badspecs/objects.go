package badspecs

func badObjects() map[string]Case {
	return map[string]Case{
		"another version":          {Edits{"apiVersion": "lb.truepacs.io/v1"}, Edits{"apiVersion": "lb.truepacs.io/v1alpha1"}, "apiVersion", "lb.truepacs.io/v1alpha1"},
		"another kind":             {Edits{"kind": "TruePACSNode"}, Edits{"kind": "TruePACSBalancer"}, "kind", "TruePACSBalancer"},
		"name with capitals":       {Edits{"metadata.name": "Radiology"}, Edits{"metadata.name": "radiology"}, "metadata.name", "lower"},
		"no name":                  {Edits{"metadata.name": Drop{}}, Edits{"metadata.name": "radiology"}, "metadata.name", "name"},
		"label that is a number":   {Edits{"metadata.labels": Block{"site": int64(7)}}, Edits{"metadata.labels": Block{"site": "7"}}, "metadata", "texts"},
		"label with a bad value":   {Edits{"metadata.labels": Block{"site": "a b"}}, Edits{"metadata.labels": Block{"site": "a-b"}}, "metadata.labels", ""},
		"setting under metadata":   {Edits{"metadata.virtualIPs": List{}}, Edits{}, "metadata.virtualIPs", "under spec"},
		"no spec":                  {Edits{"spec": Drop{}}, Edits{"spec": baseSpec()}, "spec", "is missing"},
		"spec is a text":           {Edits{"spec": "later"}, Edits{"spec": baseSpec()}, "spec", "block of fields"},
		"unknown field in spec":    {Edits{"spec.virtualIps": List{}}, Edits{}, "spec.virtualIps", "did you mean virtualIPs"},
		"field beside spec":        {Edits{"settings": Block{}}, Edits{}, "settings", "there is no such field"},
		"peers without name":       {Edits{"spec.directors": Block{"peers": List{Block{}}}}, Edits{"spec.directors": Block{"peers": List{Block{"name": "lb1"}}}}, "spec.directors.peers[0].name", "is missing"},
		"two peers":                {Edits{"spec.directors": Block{"peers": List{Block{"name": "lb1"}, Block{"name": "lb2"}}}}, Edits{"spec.directors": Block{"peers": List{Block{"name": "lb1"}}}}, "spec.directors.peers", "1"},
		"peer name with space":     {Edits{"spec.directors": Block{"peers": List{Block{"name": "lb 1"}}}}, Edits{"spec.directors": Block{"peers": List{Block{"name": "lb1"}}}}, "spec.directors.peers[0].name", "lower-case"},
		"selector that is a list":  {Edits{"spec.directors": Block{"nodeSelector": List{"a"}}}, Edits{"spec.directors": Block{"nodeSelector": Block{"a": "b"}}}, "spec.directors.nodeSelector", "block of fields"},
		"selector value a boolean": {Edits{"spec.directors": Block{"nodeSelector": Block{"a": true}}}, Edits{"spec.directors": Block{"nodeSelector": Block{"a": "true"}}}, "spec.directors.nodeSelector", "a text"},
	}
}

func badVirtualIPs() map[string]Case {
	return map[string]Case{
		"no virtual IP":            {Edits{"spec.virtualIPs": List{}}, Edits{"spec.virtualIPs": List{Block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "1 to 16"},
		"virtualIPs missing":       {Edits{"spec.virtualIPs": Drop{}}, Edits{"spec.virtualIPs": List{Block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "is missing"},
		"virtualIPs null":          {Edits{"spec.virtualIPs": nil}, Edits{"spec.virtualIPs": List{Block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "is missing"},
		"17 virtual IPs":           {Edits{"spec.virtualIPs": ManyVIPs(17)}, Edits{"spec.virtualIPs": ManyVIPs(16)}, "spec.virtualIPs", "16"},
		"two of one name":          {Edits{"spec.virtualIPs[1]": Block{"name": "main", "address": "192.0.2.101"}}, Edits{"spec.virtualIPs[1]": Block{"name": "second", "address": "192.0.2.101"}}, "spec.virtualIPs[1]", "twice"},
		"VIP without address":      {Edits{VIP + ".address": Drop{}}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "192.0.2.100"},
		"VIP name with capitals":   {Edits{"spec.virtualIPs[1]": Block{"name": "Main", "address": "192.0.2.101"}}, Edits{"spec.virtualIPs[1]": Block{"name": "main-2", "address": "192.0.2.101"}}, "spec.virtualIPs[1].name", "lower-case letters"},
		"VIP with prefix":          {Edits{VIP + ".address": "192.0.2.100/24"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "without prefix length"},
		"VIP with leading zero":    {Edits{VIP + ".address": "192.0.2.010"}, Edits{VIP + ".address": "192.0.2.10"}, VIP + ".address", "IPv4"},
		"VIP out of range":         {Edits{VIP + ".address": "192.0.2.256"}, Edits{VIP + ".address": "192.0.2.25"}, VIP + ".address", "IPv4"},
		"VIP is a name":            {Edits{VIP + ".address": "pacs.local"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "IPv4"},
		"VIP is loopback":          {Edits{VIP + ".address": "127.0.0.1"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "loopback"},
		"VIP is link-local":        {Edits{VIP + ".address": "169.254.1.1"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "link-local"},
		"VIP is multicast":         {Edits{VIP + ".address": "224.0.0.18"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "unicast"},
		"VIP is broadcast":         {Edits{VIP + ".address": "255.255.255.255"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "unicast"},
		"VIP is unspecified":       {Edits{VIP + ".address": "0.0.0.0"}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "unicast"},
		"VIP is a number":          {Edits{VIP + ".address": int64(3221226084)}, Edits{VIP + ".address": "192.0.2.100"}, VIP + ".address", "a text"},
		"interface name too long":  {Edits{VIP + ".interfaces": List{"enp0s31f6.vlan100"}}, Edits{VIP + ".interfaces": List{"enp0s31f6.100"}}, VIP + ".interfaces[0]", "15"},
		"interface name with path": {Edits{VIP + ".interfaces": List{"net/eth0"}}, Edits{VIP + ".interfaces": List{"eth0"}}, VIP + ".interfaces[0]", "eth0"},
		"interfaces is a text":     {Edits{VIP + ".interfaces": "eth0"}, Edits{VIP + ".interfaces": List{"eth0"}}, VIP + ".interfaces", "a list"},
		"misspelt interface":       {Edits{VIP + ".interface": "eth0"}, Edits{VIP + ".interfaces": List{"eth0"}}, VIP + ".interface", "did you mean interfaces"},
	}
}
