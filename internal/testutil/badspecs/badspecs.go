package badspecs

import "maps"

type (
	// Block is an object of JSON; whole numbers in it are int64.
	Block = map[string]any
	// List is an array of JSON.
	List = []any
	// Edits are changes of the base object: path, such as spec.virtualIPs[0].address, to value.
	// An index one past the end of a list appends.
	Edits map[string]any
	// Drop as a value removes the field.
	Drop struct{}
)

// Case is a spec that must be refused, and the remedy that its message proposes. Both are changes
// of the base object, which is accepted as it is.
type Case struct {
	Bad, Remedy Edits
	// Field must begin the path in one of the messages, and Says must be in that message.
	Field, Says string
}

// All returns every way to be wrong that the schema knows, by name.
func All() map[string]Case {
	all := map[string]Case{}
	for _, part := range []map[string]Case{
		badObjects(), badVirtualIPs(), badPools(), badChecks(), badServices(), badLayer7(), badRoutes(),
		badAddresses(), badServers(), badServiceRefs(), badLayer4(), Relations(),
	} {
		maps.Copy(all, part)
	}
	return all
}

// Relations returns those of All whose fields are right by themselves and wrong together, at
// layer 4. Translation has to refuse them too, in the same words.
func Relations() map[string]Case {
	all := map[string]Case{}
	for _, part := range []map[string]Case{badPorts(), badModes(), badSchedulers(), badAtLayer7(), badSources()} {
		maps.Copy(all, part)
	}
	return all
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

// Paths that tests beside this table edit.
const (
	// VIP is the virtual IP of the base, L4 its service in mode L4DR.
	VIP = "spec.virtualIPs[0]"
	L4  = "spec.virtualServices[0]"
)

const (
	pool  = "spec.serverPools[0]"
	web   = "spec.serverPools[1]"
	srv   = "spec.serverPools[0].servers[0]"
	echo  = "spec.serverPools[0].healthChecks[0]"
	httpc = "spec.serverPools[1].healthChecks[0]"
	l7    = "spec.virtualServices[1]"
	spare = "spec.serverPools[0].fallbackServers"
	route = "spec.virtualServices[1].layer7.http.routes[0]"
)
