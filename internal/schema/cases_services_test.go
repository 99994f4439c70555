package schema_test

func badServices() map[string]badCase {
	return map[string]badCase{
		"no services":              {edits{"spec.virtualServices": list{}}, edits{"spec.virtualServices": baseSpec()["virtualServices"]}, "spec.virtualServices", "1 to 64"},
		"unknown mode":             {edits{l4 + ".mode": "L4TUN"}, edits{l4 + ".mode": "L4DR"}, l4 + ".mode", "L7SNAT"},
		"UDP":                      {edits{l4 + ".protocol": "UDP"}, edits{l4 + ".protocol": "TCP"}, l4 + ".protocol", "TCP"},
		"service without mode":     {edits{l4 + ".mode": drop{}}, edits{l4 + ".mode": "L4DR"}, l4 + ".mode", "is missing"},
		"no port":                  {edits{l4 + ".ports": list{}}, edits{l4 + ".ports": list{int64(104)}}, l4 + ".ports", "1 to 16"},
		"port 65536":               {edits{l4 + ".ports": list{int64(65536)}}, edits{l4 + ".ports": list{int64(65535)}}, l4 + ".ports[0]", "1 to 65535"},
		"port twice":               {edits{l4 + ".ports": list{int64(104), int64(104)}}, edits{l4 + ".ports": list{int64(104)}}, l4 + ".ports[1]", "twice"},
		"17 ports":                 {edits{l4 + ".ports": ports(17)}, edits{l4 + ".ports": ports(16)}, l4 + ".ports", "16"},
		"port as text":             {edits{l4 + ".ports": list{"104"}}, edits{l4 + ".ports": list{int64(104)}}, l4 + ".ports[0]", "without quotes"},
		"ports is a number":        {edits{l4 + ".ports": int64(104)}, edits{l4 + ".ports": list{int64(104)}}, l4 + ".ports", "a list"},
		"address instead of name":  {edits{l4 + ".virtualIPs": list{"192.0.2.100"}}, edits{l4 + ".virtualIPs": list{"main"}}, "spec", "not the address"},
		"no virtual IP named":      {edits{l4 + ".virtualIPs": list{}}, edits{l4 + ".virtualIPs": list{"main"}}, l4 + ".virtualIPs", "1 to 16"},
		"virtual IP named twice":   {edits{l4 + ".virtualIPs": list{"main", "main"}}, edits{l4 + ".virtualIPs": list{"main"}}, l4 + ".virtualIPs[1]", "twice"},
		"pool that is not there":   {edits{l4 + ".serverPool": "archiv"}, edits{l4 + ".serverPool": "archive"}, "spec", "add the pool"},
		"L4DR with pool port":      {edits{pool + ".port": int64(11112)}, edits{pool + ".port": drop{}}, "spec", "remove port from the server pool"},
		"L4DR with server port":    {edits{srv + ".port": int64(11112)}, edits{srv + ".port": drop{}}, "spec", "remove port from the pool's servers"},
		"layer7 with L4DR":         {edits{l4 + ".layer7": block{"application": "TCP"}}, edits{}, l4, "remove layer7"},
		"layer4 with L7SNAT":       {edits{l7 + ".layer4": block{}}, edits{}, l7, "remove layer4"},
		"L7SNAT without layer7":    {edits{l7 + ".layer7": drop{}}, edits{l7 + ".layer7": block{"application": "HTTP"}}, l7, "layer7.application"},
		"unknown scheduler":        {edits{l4 + ".layer4.scheduler": "wlc"}, edits{l4 + ".layer4.scheduler": "WeightedLeastConnection"}, l4 + ".layer4.scheduler", "WeightedLeastConnection"},
		"persistence 0 s":          {edits{l4 + ".layer4.persistence.timeoutSeconds": int64(0)}, edits{l4 + ".layer4.persistence.timeoutSeconds": int64(1)}, l4 + ".layer4.persistence.timeoutSeconds", "1 to 2678400"},
		"prefix length 33":         {edits{l4 + ".layer4.persistence.clientPrefixLength": int64(33)}, edits{l4 + ".layer4.persistence.clientPrefixLength": int64(24)}, l4 + ".layer4.persistence.clientPrefixLength", "1 to 32"},
		"two services of one name": {edits{l7 + ".name": "dicom"}, edits{l7 + ".name": "viewer"}, "spec.virtualServices[1]", "twice"},
		"service is null":          {edits{"spec.virtualServices[2]": nil}, edits{}, "spec.virtualServices[2]", "block of fields"},
		"unknown field in service": {edits{l4 + ".port": int64(104)}, edits{l4 + ".ports": list{int64(104)}}, l4 + ".port", "did you mean ports"},
	}
}

func badLayer7() map[string]badCase {
	return map[string]badCase{
		"unknown application":      {edits{l7 + ".layer7.application": "DICOM"}, edits{l7 + ".layer7.application": "HTTP"}, l7 + ".layer7.application", "HTTP"},
		"application missing":      {edits{l7 + ".layer7": block{}}, edits{l7 + ".layer7": block{"application": "TCP"}}, l7 + ".layer7.application", "is missing"},
		"http with TCP":            {edits{l7 + ".layer7": block{"application": "TCP", "http": block{}}}, edits{l7 + ".layer7": block{"application": "TCP"}}, l7 + ".layer7", "remove http"},
		"cookie with TCP":          {edits{l7 + ".layer7": block{"application": "TCP", "persistence": block{"type": "Cookie"}}}, edits{l7 + ".layer7": block{"application": "TCP"}}, l7 + ".layer7", "remove persistence"},
		"clientAddress with TCP":   {edits{l7 + ".layer7": block{"application": "TCP", "clientAddress": block{}}}, edits{l7 + ".layer7": block{"application": "TCP"}}, l7 + ".layer7", "remove clientAddress"},
		"unknown algorithm":        {edits{l7 + ".layer7.algorithm": "Random"}, edits{l7 + ".layer7.algorithm": "RoundRobin"}, l7 + ".layer7.algorithm", "LeastConnection"},
		"no certificate":           {edits{l7 + ".layer7.tls.certificateRefs": list{}}, edits{l7 + ".layer7.tls.certificateRefs": list{block{"name": "viewer-tls"}}}, l7 + ".layer7.tls.certificateRefs", "1 to 16"},
		"certificate twice":        {edits{l7 + ".layer7.tls.certificateRefs": list{block{"name": "a"}, block{"name": "a"}}}, edits{l7 + ".layer7.tls.certificateRefs": list{block{"name": "a"}}}, l7 + ".layer7.tls.certificateRefs[1]", "twice"},
		"Secret with namespace":    {edits{l7 + ".layer7.tls.certificateRefs[0].namespace": "other"}, edits{}, l7 + ".layer7.tls.certificateRefs[0].namespace", "there is no such field"},
		"Secret name with space":   {edits{l7 + ".layer7.tls.certificateRefs[0].name": "viewer tls"}, edits{l7 + ".layer7.tls.certificateRefs[0].name": "viewer-tls"}, l7 + ".layer7.tls.certificateRefs[0].name", "lower-case"},
		"TLS 1.0":                  {edits{l7 + ".layer7.tls.minVersion": "TLS10"}, edits{l7 + ".layer7.tls.minVersion": "TLS12"}, l7 + ".layer7.tls.minVersion", "TLS13"},
		"unknown persistence":      {edits{l7 + ".layer7.persistence.type": "SourceIP"}, edits{l7 + ".layer7.persistence.type": "Cookie"}, l7 + ".layer7.persistence.type", "Cookie"},
		"cookie name with =":       {edits{l7 + ".layer7.persistence.cookie.name": "A=B"}, edits{l7 + ".layer7.persistence.cookie.name": "A_B"}, l7 + ".layer7.persistence.cookie.name", "TPSERVER"},
		"unknown cookie mode":      {edits{l7 + ".layer7.persistence.cookie.mode": "Learn"}, edits{l7 + ".layer7.persistence.cookie.mode": "Insert"}, l7 + ".layer7.persistence.cookie.mode", "Insert"},
		"unknown header":           {edits{l7 + ".layer7.clientAddress.headers": list{"X-Forwarded-For"}}, edits{l7 + ".layer7.clientAddress.headers": list{"XForwardedFor"}}, l7 + ".layer7.clientAddress.headers[0]", "XForwardedFor"},
		"trusted without prefix":   {edits{l7 + ".layer7.clientAddress.trustedCIDRs": list{"10.0.0.1"}}, edits{l7 + ".layer7.clientAddress.trustedCIDRs": list{"10.0.0.1/32"}}, l7 + ".layer7.clientAddress.trustedCIDRs", "/32"},
		"trusted prefix 33":        {edits{l7 + ".layer7.clientAddress.trustedCIDRs": list{"10.0.0.0/33"}}, edits{l7 + ".layer7.clientAddress.trustedCIDRs": list{"10.0.0.0/24"}}, l7 + ".layer7.clientAddress.trustedCIDRs", "prefix length"},
		"application with a blank": {edits{l7 + ".layer7.application": "HTTP "}, edits{l7 + ".layer7.application": "HTTP"}, l7 + ".layer7.application", "TCP"},
	}
}

func badRoutes() map[string]badCase {
	return map[string]badCase{
		"route to no pool":          {edits{route + ".serverPool": "web"}, edits{route + ".serverPool": "viewer"}, "spec", "a route's serverPool"},
		"route without match":       {edits{route + ".matches": list{}}, edits{route + ".matches": list{block{"pathPrefix": "/"}}}, route + ".matches", "1 to 8"},
		"prefix without slash":      {edits{route + ".matches[0].pathPrefix": "dicom-web"}, edits{route + ".matches[0].pathPrefix": "/dicom-web"}, route + ".matches[0].pathPrefix", "starts with /"},
		"prefix with query":         {edits{route + ".matches[0].pathPrefix": "/a?b"}, edits{route + ".matches[0].pathPrefix": "/a"}, route + ".matches[0].pathPrefix", "no space, ? or #"},
		"rewrite with fragment":     {edits{route + ".rewrite.pathPrefix": "/a#b"}, edits{route + ".rewrite.pathPrefix": "/a"}, route + ".rewrite.pathPrefix", "no space, ? or #"},
		"rewrite without prefix":    {edits{route + ".rewrite": block{}}, edits{route + ".rewrite": block{"pathPrefix": "/"}}, route + ".rewrite.pathPrefix", "is missing"},
		"header name with colon":    {edits{route + ".requestHeaders.set[0].name": "X-Site:"}, edits{route + ".requestHeaders.set[0].name": "X-Site"}, route + ".requestHeaders.set[0].name", "letters, digits and hyphens"},
		"header name with break":    {edits{route + ".requestHeaders.set[0].name": "X\r\nY"}, edits{route + ".requestHeaders.set[0].name": "X-Y"}, route + ".requestHeaders.set[0].name", "letters, digits and hyphens"},
		"header value with break":   {edits{route + ".requestHeaders.set[0].value": "a\r\nb"}, edits{route + ".requestHeaders.set[0].value": "a b"}, route + ".requestHeaders.set[0].value", "printable ASCII"},
		"header value ends blank":   {edits{route + ".requestHeaders.set[0].value": "a "}, edits{route + ".requestHeaders.set[0].value": "a"}, route + ".requestHeaders.set[0].value", "space"},
		"set Host":                  {edits{route + ".requestHeaders.set[0].name": "Host"}, edits{route + ".requestHeaders.set[0].name": "X-Host"}, route + ".requestHeaders.set[0].name", "cannot be set"},
		"set content-length":        {edits{route + ".requestHeaders.set[0].name": "content-length"}, edits{route + ".requestHeaders.set[0].name": "X-Length"}, route + ".requestHeaders.set[0].name", "cannot be set"},
		"set a header twice":        {edits{route + ".requestHeaders.set[1]": block{"name": "X-Site", "value": "b"}}, edits{route + ".requestHeaders.set[1]": block{"name": "X-Other", "value": "b"}}, route + ".requestHeaders.set[1]", "twice"},
		"remove Transfer-Encoding":  {edits{route + ".requestHeaders.remove": list{"Transfer-Encoding"}}, edits{route + ".requestHeaders.remove": list{"X-Debug"}}, route + ".requestHeaders.remove", "cannot be removed"},
		"remove a name with blank":  {edits{route + ".requestHeaders.remove": list{"X Debug"}}, edits{route + ".requestHeaders.remove": list{"X-Debug"}}, route + ".requestHeaders.remove[0]", "letters, digits and hyphens"},
		"two routes of one name":    {edits{route[:len(route)-3] + "[1]": block{"name": "dicomweb", "matches": list{block{"pathPrefix": "/x"}}, "serverPool": "viewer"}}, edits{route[:len(route)-3] + "[1]": block{"name": "other", "matches": list{block{"pathPrefix": "/x"}}, "serverPool": "viewer"}}, route[:len(route)-3] + "[1]", "twice"},
		"response headers not yet":  {edits{route + ".responseHeaders": block{"remove": list{"Server"}}}, edits{}, route + ".responseHeaders", "did you mean requestHeaders"},
		"route name too long":       {edits{route + ".name": "a123456789012345678901234567890123456789012345678901234567890123"}, edits{route + ".name": "a12345678901234567890123456789012345678901234567890123456789012"}, route + ".name", "63"},
		"header without value":      {edits{route + ".requestHeaders.set[0].value": drop{}}, edits{route + ".requestHeaders.set[0].value": "main"}, route + ".requestHeaders.set[0].value", "is missing"},
		"prefix is an encoded list": {edits{route + ".matches[0].pathPrefix": list{"/a"}}, edits{route + ".matches[0].pathPrefix": "/a"}, route + ".matches[0].pathPrefix", "a text"},
	}
}
