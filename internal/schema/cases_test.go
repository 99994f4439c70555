package schema_test

// edits are changes of the base object: path to value; drop removes.
type edits map[string]any

// drop as a value removes the field or entry.
type drop struct{}

type (
	block = map[string]any
	list  = []any
)

// badCase is a spec that must be refused, and the remedy that its message proposes.
type badCase struct {
	bad    edits
	remedy edits
	// field and says must be in one of the messages.
	field, says string
}

// base is accepted as it is.
const base = `
apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology, namespace: default}
spec:
  virtualIPs:
  - {name: main, address: 192.0.2.100}
  serverPools:
  - name: archive
    servers:
    - {name: pacs-a, address: 192.0.2.11}
    - {name: pacs-b, address: 192.0.2.12}
    healthChecks:
    - {type: DICOMEcho, port: 11112, dicomEcho: {calledAETitle: TRUEPACS}}
  - name: viewer
    port: 8443
    servers:
    - {name: pacs-a, address: 192.0.2.11}
    healthChecks:
    - {type: HTTP, http: {path: /healthz, expectedStatuses: [200]}}
  virtualServices:
  - name: dicom
    virtualIPs: [main]
    mode: L4DR
    ports: [104, 11112]
    serverPool: archive
    layer4: {persistence: {timeoutSeconds: 300, clientPrefixLength: 32}}
  - name: viewer
    virtualIPs: [main]
    mode: L7SNAT
    ports: [443]
    serverPool: viewer
    layer7:
      application: HTTP
      tls: {certificateRefs: [{name: viewer-tls}]}
      persistence: {type: Cookie, cookie: {name: TPSERVER}}
      clientAddress: {headers: [XForwardedFor], trustedCIDRs: [10.0.0.0/8]}
      http:
        routes:
        - name: dicomweb
          matches: [{pathPrefix: /dicom-web}]
          serverPool: viewer
          rewrite: {pathPrefix: /dicomweb}
          requestHeaders: {set: [{name: X-Site, value: main}], remove: [X-Debug]}
`

const (
	vip   = "spec.virtualIPs[0]"
	pool  = "spec.serverPools[0]"
	web   = "spec.serverPools[1]"
	srv   = "spec.serverPools[0].servers[0]"
	echo  = "spec.serverPools[0].healthChecks[0]"
	httpc = "spec.serverPools[1].healthChecks[0]"
	l4    = "spec.virtualServices[0]"
	l7    = "spec.virtualServices[1]"
	route = "spec.virtualServices[1].layer7.http.routes[0]"
)

// badCases returns every way to be wrong that the schema knows, by name.
func badCases() map[string]badCase {
	all := map[string]badCase{}
	for _, part := range []map[string]badCase{
		badObjects(), badVirtualIPs(), badPools(), badChecks(), badServices(), badLayer7(), badRoutes(),
	} {
		for name, tc := range part {
			all[name] = tc
		}
	}
	return all
}

func badObjects() map[string]badCase {
	return map[string]badCase{
		"another version":          {edits{"apiVersion": "lb.truepacs.io/v1"}, edits{"apiVersion": "lb.truepacs.io/v1alpha1"}, "apiVersion", "lb.truepacs.io/v1alpha1"},
		"another kind":             {edits{"kind": "TruePACSNode"}, edits{"kind": "TruePACSBalancer"}, "kind", "TruePACSBalancer"},
		"name with capitals":       {edits{"metadata.name": "Radiology"}, edits{"metadata.name": "radiology"}, "metadata.name", "lower"},
		"no name":                  {edits{"metadata.name": drop{}}, edits{"metadata.name": "radiology"}, "metadata.name", "name"},
		"label that is a number":   {edits{"metadata.labels": block{"site": int64(7)}}, edits{"metadata.labels": block{"site": "7"}}, "metadata", "texts"},
		"label with a bad value":   {edits{"metadata.labels": block{"site": "a b"}}, edits{"metadata.labels": block{"site": "a-b"}}, "metadata.labels", ""},
		"setting under metadata":   {edits{"metadata.virtualIPs": list{}}, edits{}, "metadata.virtualIPs", "under spec"},
		"no spec":                  {edits{"spec": drop{}}, edits{"spec": baseSpec()}, "spec", "is missing"},
		"spec is a text":           {edits{"spec": "later"}, edits{"spec": baseSpec()}, "spec", "block of fields"},
		"unknown field in spec":    {edits{"spec.virtualIps": list{}}, edits{}, "spec.virtualIps", "did you mean virtualIPs"},
		"field beside spec":        {edits{"settings": block{}}, edits{}, "settings", "there is no such field"},
		"peers without name":       {edits{"spec.directors": block{"peers": list{block{}}}}, edits{"spec.directors": block{"peers": list{block{"name": "lb1"}}}}, "spec.directors.peers[0].name", "is missing"},
		"two peers":                {edits{"spec.directors": block{"peers": list{block{"name": "lb1"}, block{"name": "lb2"}}}}, edits{"spec.directors": block{"peers": list{block{"name": "lb1"}}}}, "spec.directors.peers", "1"},
		"peer name with space":     {edits{"spec.directors": block{"peers": list{block{"name": "lb 1"}}}}, edits{"spec.directors": block{"peers": list{block{"name": "lb1"}}}}, "spec.directors.peers[0].name", "lower-case"},
		"selector that is a list":  {edits{"spec.directors": block{"nodeSelector": list{"a"}}}, edits{"spec.directors": block{"nodeSelector": block{"a": "b"}}}, "spec.directors.nodeSelector", "block of fields"},
		"selector value a boolean": {edits{"spec.directors": block{"nodeSelector": block{"a": true}}}, edits{"spec.directors": block{"nodeSelector": block{"a": "true"}}}, "spec.directors.nodeSelector", "a text"},
	}
}

func badVirtualIPs() map[string]badCase {
	return map[string]badCase{
		"no virtual IP":            {edits{"spec.virtualIPs": list{}}, edits{"spec.virtualIPs": list{block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "1 to 16"},
		"virtualIPs missing":       {edits{"spec.virtualIPs": drop{}}, edits{"spec.virtualIPs": list{block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "is missing"},
		"virtualIPs null":          {edits{"spec.virtualIPs": nil}, edits{"spec.virtualIPs": list{block{"name": "main", "address": "192.0.2.100"}}}, "spec.virtualIPs", "is missing"},
		"17 virtual IPs":           {edits{"spec.virtualIPs": manyVIPs(17)}, edits{"spec.virtualIPs": manyVIPs(16)}, "spec.virtualIPs", "16"},
		"two of one name":          {edits{"spec.virtualIPs[1]": block{"name": "main", "address": "192.0.2.101"}}, edits{"spec.virtualIPs[1]": block{"name": "second", "address": "192.0.2.101"}}, "spec.virtualIPs[1]", "twice"},
		"VIP without address":      {edits{vip + ".address": drop{}}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "192.0.2.100"},
		"VIP name with capitals":   {edits{"spec.virtualIPs[1]": block{"name": "Main", "address": "192.0.2.101"}}, edits{"spec.virtualIPs[1]": block{"name": "main-2", "address": "192.0.2.101"}}, "spec.virtualIPs[1].name", "lower-case letters"},
		"VIP with prefix":          {edits{vip + ".address": "192.0.2.100/24"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "without prefix length"},
		"VIP with leading zero":    {edits{vip + ".address": "192.0.2.010"}, edits{vip + ".address": "192.0.2.10"}, vip + ".address", "IPv4"},
		"VIP out of range":         {edits{vip + ".address": "192.0.2.256"}, edits{vip + ".address": "192.0.2.25"}, vip + ".address", "IPv4"},
		"VIP is a name":            {edits{vip + ".address": "pacs.local"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "IPv4"},
		"VIP is IPv6":              {edits{vip + ".address": "2001:db8::64"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "IPv4"},
		"VIP is loopback":          {edits{vip + ".address": "127.0.0.1"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "loopback"},
		"VIP is link-local":        {edits{vip + ".address": "169.254.1.1"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "link-local"},
		"VIP is multicast":         {edits{vip + ".address": "224.0.0.18"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "unicast"},
		"VIP is broadcast":         {edits{vip + ".address": "255.255.255.255"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "unicast"},
		"VIP is unspecified":       {edits{vip + ".address": "0.0.0.0"}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "unicast"},
		"VIP is a number":          {edits{vip + ".address": int64(3221226084)}, edits{vip + ".address": "192.0.2.100"}, vip + ".address", "a text"},
		"interface name too long":  {edits{vip + ".interfaces": list{"enp0s31f6.vlan100"}}, edits{vip + ".interfaces": list{"enp0s31f6.100"}}, vip + ".interfaces[0]", "15"},
		"interface name with path": {edits{vip + ".interfaces": list{"net/eth0"}}, edits{vip + ".interfaces": list{"eth0"}}, vip + ".interfaces[0]", "eth0"},
		"interfaces is a text":     {edits{vip + ".interfaces": "eth0"}, edits{vip + ".interfaces": list{"eth0"}}, vip + ".interfaces", "a list"},
		"misspelt interface":       {edits{vip + ".interface": "eth0"}, edits{vip + ".interfaces": list{"eth0"}}, vip + ".interface", "did you mean interfaces"},
	}
}

func badPools() map[string]badCase {
	return map[string]badCase{
		"no pools":                {edits{"spec.serverPools": list{}}, edits{"spec.serverPools": baseSpec()["serverPools"]}, "spec.serverPools", "1 to 64"},
		"pool without servers":    {edits{pool + ".servers": list{}}, edits{pool + ".servers": list{block{"name": "a", "address": "192.0.2.11"}}}, pool + ".servers", "1 to 64"},
		"two servers of one name": {edits{pool + ".servers[1].name": "pacs-a"}, edits{pool + ".servers[1].name": "pacs-b"}, pool + ".servers[1]", "twice"},
		"server with port in it":  {edits{srv + ".address": "10.0.0.11:8042"}, edits{srv + ".address": "10.0.0.11"}, srv + ".address", "field port"},
		"server is loopback":      {edits{srv + ".address": "127.0.0.1"}, edits{srv + ".address": "10.0.0.11"}, srv + ".address", "loopback"},
		"server is link-local":    {edits{srv + ".address": "169.254.0.9"}, edits{srv + ".address": "10.0.0.11"}, srv + ".address", "link-local"},
		"server is multicast":     {edits{srv + ".address": "239.1.1.1"}, edits{srv + ".address": "10.0.0.11"}, srv + ".address", "unicast"},
		"server name with dot":    {edits{srv + ".name": "pacs.a"}, edits{srv + ".name": "pacs-a"}, srv + ".name", "hyphens"},
		"server port 0":           {edits{web + ".servers[0].port": int64(0)}, edits{web + ".servers[0].port": int64(8443)}, web + ".servers[0].port", "1 to 65535"},
		"server port as text":     {edits{web + ".servers[0].port": "8443"}, edits{web + ".servers[0].port": int64(8443)}, web + ".servers[0].port", "without quotes"},
		"negative weight":         {edits{srv + ".weight": int64(-1)}, edits{srv + ".weight": int64(0)}, srv + ".weight", "0 to 65535"},
		"weight too big":          {edits{srv + ".weight": int64(65536)}, edits{srv + ".weight": int64(65535)}, srv + ".weight", "0 to 65535"},
		"weight is a fraction":    {edits{srv + ".weight": 1.5}, edits{srv + ".weight": int64(2)}, srv + ".weight", "whole number"},
		"misspelt weight":         {edits{srv + ".wieght": int64(5)}, edits{srv + ".weight": int64(5)}, srv + ".wieght", "did you mean weight"},
		"pool port too big":       {edits{web + ".port": int64(70000)}, edits{web + ".port": int64(7000)}, web + ".port", "1 to 65535"},
		"servers is a block":      {edits{pool + ".servers": block{"name": "a"}}, edits{pool + ".servers": list{block{"name": "a", "address": "192.0.2.11"}}}, pool + ".servers", "a list"},
		"pool not there yet":      {edits{pool + ".serviceRef": block{"name": "viewer"}}, edits{}, pool + ".serviceRef", "there is no such field"},
	}
}

func badChecks() map[string]badCase {
	return map[string]badCase{
		"unknown check type":        {edits{echo + ".type": "PING"}, edits{echo + ".type": "DICOMEcho"}, echo + ".type", "DICOMEcho"},
		"check without type":        {edits{echo + ".type": drop{}}, edits{echo + ".type": "DICOMEcho"}, echo + ".type", "is missing"},
		"http with type DICOMEcho":  {edits{echo + ".http": block{"path": "/"}}, edits{}, echo, "type: HTTP"},
		"dicomEcho with type HTTP":  {edits{httpc + ".dicomEcho": block{"calledAETitle": "A"}}, edits{}, httpc, "type: DICOMEcho"},
		"DICOMEcho without titles":  {edits{echo + ".dicomEcho": drop{}}, edits{echo + ".dicomEcho": block{"calledAETitle": "TRUEPACS"}}, echo, "AE title"},
		"AE title missing":          {edits{echo + ".dicomEcho": block{}}, edits{echo + ".dicomEcho": block{"calledAETitle": "TRUEPACS"}}, echo + ".dicomEcho.calledAETitle", "is missing"},
		"AE title too long":         {edits{echo + ".dicomEcho.calledAETitle": "TRUEPACSTRUEPACS1"}, edits{echo + ".dicomEcho.calledAETitle": "TRUEPACSTRUEPACS"}, echo + ".dicomEcho.calledAETitle", "16"},
		"AE title with backslash":   {edits{echo + ".dicomEcho.calledAETitle": `A\B`}, edits{echo + ".dicomEcho.calledAETitle": "A B"}, echo + ".dicomEcho.calledAETitle", "backslash"},
		"AE title of blanks":        {edits{echo + ".dicomEcho.calledAETitle": "   "}, edits{echo + ".dicomEcho.calledAETitle": "ANY"}, echo + ".dicomEcho.calledAETitle", "space"},
		"AE title with umlaut":      {edits{echo + ".dicomEcho.callingAETitle": "RÖNTGEN"}, edits{echo + ".dicomEcho.callingAETitle": "ROENTGEN"}, echo + ".dicomEcho.callingAETitle", "ASCII"},
		"AE title with end blank":   {edits{echo + ".dicomEcho.callingAETitle": "TP "}, edits{echo + ".dicomEcho.callingAETitle": "TP"}, echo + ".dicomEcho.callingAETitle", "space"},
		"timeout beyond period":     {edits{echo + ".timeoutSeconds": int64(6), echo + ".periodSeconds": int64(5)}, edits{echo + ".timeoutSeconds": int64(5), echo + ".periodSeconds": int64(5)}, echo, "shorter timeout"},
		"period 0":                  {edits{echo + ".periodSeconds": int64(0)}, edits{echo + ".periodSeconds": int64(1)}, echo + ".periodSeconds", "1 to 3600"},
		"fast period too short":     {edits{echo + ".fastPeriodMilliseconds": int64(10)}, edits{echo + ".fastPeriodMilliseconds": int64(50)}, echo + ".fastPeriodMilliseconds", "50 to 60000"},
		"threshold 0":               {edits{echo + ".unhealthyThreshold": int64(0)}, edits{echo + ".unhealthyThreshold": int64(1)}, echo + ".unhealthyThreshold", "1 to 100"},
		"healthy threshold 101":     {edits{echo + ".healthyThreshold": int64(101)}, edits{echo + ".healthyThreshold": int64(100)}, echo + ".healthyThreshold", "1 to 100"},
		"check port 0":              {edits{echo + ".port": int64(0)}, edits{echo + ".port": int64(104)}, echo + ".port", "1 to 65535"},
		"five checks":               {edits{pool + ".healthChecks": checks(5)}, edits{pool + ".healthChecks": checks(4)}, pool + ".healthChecks", "4"},
		"path without slash":        {edits{httpc + ".http.path": "healthz"}, edits{httpc + ".http.path": "/healthz"}, httpc + ".http.path", "starts with /"},
		"path with space":           {edits{httpc + ".http.path": "/health check"}, edits{httpc + ".http.path": "/health%20check"}, httpc + ".http.path", "no space"},
		"host with line break":      {edits{httpc + ".http.host": "a\nX: 1"}, edits{httpc + ".http.host": "a"}, httpc + ".http.host", "host name"},
		"status 99":                 {edits{httpc + ".http.expectedStatuses": list{int64(99)}}, edits{httpc + ".http.expectedStatuses": list{int64(200)}}, httpc + ".http.expectedStatuses[0]", "100 to 599"},
		"status twice":              {edits{httpc + ".http.expectedStatuses": list{int64(200), int64(200)}}, edits{httpc + ".http.expectedStatuses": list{int64(200)}}, httpc + ".http.expectedStatuses[1]", "twice"},
		"empty expected body":       {edits{httpc + ".http.expectedBody": ""}, edits{httpc + ".http.expectedBody": "DB-OK"}, httpc + ".http.expectedBody", "1 to 1024 characters"},
		"check is a text":           {edits{pool + ".healthChecks": list{"TCP"}}, edits{pool + ".healthChecks": list{block{"type": "TCP"}}}, pool + ".healthChecks[0]", "block of fields"},
		"AE title that is a number": {edits{echo + ".dicomEcho.calledAETitle": int64(104)}, edits{echo + ".dicomEcho.calledAETitle": "104"}, echo + ".dicomEcho.calledAETitle", "in quotes"},
	}
}
