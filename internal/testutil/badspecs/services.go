package badspecs

func badServices() map[string]Case {
	return map[string]Case{
		"no services":              {Edits{"spec.virtualServices": List{}}, Edits{"spec.virtualServices": baseSpec()["virtualServices"]}, "spec.virtualServices", "1 to 64"},
		"unknown mode":             {Edits{L4 + ".mode": "L4TUN"}, Edits{L4 + ".mode": "L4DR"}, L4 + ".mode", "L7SNAT"},
		"unknown protocol":         {Edits{L4 + ".protocol": "SCTP"}, Edits{L4 + ".protocol": "TCP"}, L4 + ".protocol", "TCP"},
		"service without mode":     {Edits{L4 + ".mode": Drop{}}, Edits{L4 + ".mode": "L4DR"}, L4 + ".mode", "is missing"},
		"no port":                  {Edits{L4 + ".ports": List{}}, Edits{L4 + ".ports": List{int64(104)}}, L4 + ".ports", "1 to 16"},
		"port 65536":               {Edits{L4 + ".ports": List{int64(65536)}}, Edits{L4 + ".ports": List{int64(65535)}}, L4 + ".ports[0]", "1 to 65535"},
		"port twice":               {Edits{L4 + ".ports": List{int64(104), int64(104)}}, Edits{L4 + ".ports": List{int64(104)}}, L4 + ".ports[1]", "twice"},
		"17 ports":                 {Edits{L4 + ".ports": Ports(17)}, Edits{L4 + ".ports": Ports(16)}, L4 + ".ports", "16"},
		"port as text":             {Edits{L4 + ".ports": List{"104"}}, Edits{L4 + ".ports": List{int64(104)}}, L4 + ".ports[0]", "without quotes"},
		"ports is a number":        {Edits{L4 + ".ports": int64(104)}, Edits{L4 + ".ports": List{int64(104)}}, L4 + ".ports", "a list"},
		"address instead of name":  {Edits{L4 + ".virtualIPs": List{"192.0.2.100"}}, Edits{L4 + ".virtualIPs": List{"main"}}, "spec", "not the address"},
		"no virtual IP named":      {Edits{L4 + ".virtualIPs": List{}}, Edits{L4 + ".virtualIPs": List{"main"}}, L4 + ".virtualIPs", "1 to 16"},
		"virtual IP named twice":   {Edits{L4 + ".virtualIPs": List{"main", "main"}}, Edits{L4 + ".virtualIPs": List{"main"}}, L4 + ".virtualIPs[1]", "twice"},
		"pool that is not there":   {Edits{L4 + ".serverPool": "archiv"}, Edits{L4 + ".serverPool": "archive"}, "spec", "add the pool"},
		"layer7 with L4DR":         {Edits{L4 + ".layer7": Block{"application": "TCP"}}, Edits{}, L4, "remove layer7"},
		"layer4 with L7SNAT":       {Edits{l7 + ".layer4": Block{}}, Edits{}, l7, "remove layer4"},
		"L7SNAT without layer7":    {Edits{l7 + ".layer7": Drop{}}, Edits{l7 + ".layer7": Block{"application": "HTTP"}}, l7, "layer7.application"},
		"unknown scheduler":        {Edits{L4 + ".layer4.scheduler": "wlc"}, Edits{L4 + ".layer4.scheduler": "WeightedLeastConnection"}, L4 + ".layer4.scheduler", "WeightedLeastConnection"},
		"persistence 0 s":          {Edits{L4 + ".layer4.persistence.timeoutSeconds": int64(0)}, Edits{L4 + ".layer4.persistence.timeoutSeconds": int64(1)}, L4 + ".layer4.persistence.timeoutSeconds", "1 to 2678400"},
		"prefix length 129":        {Edits{L4 + ".layer4.persistence.clientPrefixLength": int64(129)}, Edits{L4 + ".layer4.persistence.clientPrefixLength": int64(24)}, L4 + ".layer4.persistence.clientPrefixLength", "1 to 128"},
		"two services of one name": {Edits{l7 + ".name": "dicom"}, Edits{l7 + ".name": "viewer"}, "spec.virtualServices[1]", "twice"},
		"service is null":          {Edits{"spec.virtualServices[2]": nil}, Edits{}, "spec.virtualServices[2]", "block of fields"},
		"unknown field in service": {Edits{L4 + ".port": int64(104)}, Edits{L4 + ".ports": List{int64(104)}}, L4 + ".port", "did you mean ports"},
	}
}

func badLayer7() map[string]Case {
	return map[string]Case{
		"unknown application":      {Edits{l7 + ".layer7.application": "DICOM"}, Edits{l7 + ".layer7.application": "HTTP"}, l7 + ".layer7.application", "HTTP"},
		"application missing":      {Edits{l7 + ".layer7": Block{}}, Edits{l7 + ".layer7": Block{"application": "TCP"}}, l7 + ".layer7.application", "is missing"},
		"http with TCP":            {Edits{l7 + ".layer7": Block{"application": "TCP", "http": Block{}}}, Edits{l7 + ".layer7": Block{"application": "TCP"}}, l7 + ".layer7", "remove http"},
		"cookie with TCP":          {Edits{l7 + ".layer7": Block{"application": "TCP", "persistence": Block{"type": "Cookie"}}}, Edits{l7 + ".layer7": Block{"application": "TCP"}}, l7 + ".layer7", "remove persistence"},
		"headers with TCP":         {Edits{l7 + ".layer7": Block{"application": "TCP", "clientAddress": Block{"trustedCIDRs": List{"10.0.0.1/32"}}}}, Edits{l7 + ".layer7": Block{"application": "TCP", "clientAddress": Block{"acceptProxyProtocolFrom": List{"10.0.0.1/32"}}}}, l7 + ".layer7", "remove headers and trustedCIDRs"},
		"unknown algorithm":        {Edits{l7 + ".layer7.algorithm": "Random"}, Edits{l7 + ".layer7.algorithm": "RoundRobin"}, l7 + ".layer7.algorithm", "LeastConnection"},
		"no certificate":           {Edits{l7 + ".layer7.tls.certificateRefs": List{}}, Edits{l7 + ".layer7.tls.certificateRefs": List{Block{"name": "viewer-tls"}}}, l7 + ".layer7.tls.certificateRefs", "1 to 16"},
		"certificate twice":        {Edits{l7 + ".layer7.tls.certificateRefs": List{Block{"name": "a"}, Block{"name": "a"}}}, Edits{l7 + ".layer7.tls.certificateRefs": List{Block{"name": "a"}}}, l7 + ".layer7.tls.certificateRefs[1]", "twice"},
		"Secret with namespace":    {Edits{l7 + ".layer7.tls.certificateRefs[0].namespace": "other"}, Edits{}, l7 + ".layer7.tls.certificateRefs[0].namespace", "there is no such field"},
		"Secret name with space":   {Edits{l7 + ".layer7.tls.certificateRefs[0].name": "viewer tls"}, Edits{l7 + ".layer7.tls.certificateRefs[0].name": "viewer-tls"}, l7 + ".layer7.tls.certificateRefs[0].name", "lower-case"},
		"TLS 1.0":                  {Edits{l7 + ".layer7.tls.minVersion": "TLS10"}, Edits{l7 + ".layer7.tls.minVersion": "TLS12"}, l7 + ".layer7.tls.minVersion", "TLS13"},
		"cipher suite of OpenSSL":  {Edits{l7 + ".layer7.tls.cipherSuites": List{"ECDHE-RSA-AES128-GCM-SHA256"}}, Edits{l7 + ".layer7.tls.cipherSuites": List{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}}, l7 + ".layer7.tls.cipherSuites[0]", "TLS_ECDHE_"},
		"server name with a space": {Edits{l7 + ".layer7.tls.serverNames": List{"pacs example"}}, Edits{l7 + ".layer7.tls.serverNames": List{"*.example.org", "pacs.example.org", "2001:db8::1"}}, l7 + ".layer7.tls.serverNames[0]", "host name"},
		"clients without a mode":   {Edits{l7 + ".layer7.tls.clientCertificates": Block{"caRef": Block{"name": "ca"}}}, Edits{l7 + ".layer7.tls.clientCertificates": Block{"mode": "Required", "caRef": Block{"name": "ca"}}}, l7 + ".layer7.tls.clientCertificates.mode", "is missing"},
		"clients without a CA":     {Edits{l7 + ".layer7.tls.clientCertificates": Block{"mode": "Optional"}}, Edits{l7 + ".layer7.tls.clientCertificates": Block{"mode": "Optional", "caRef": Block{"kind": "Secret", "name": "ca", "key": "ca.crt"}}}, l7 + ".layer7.tls.clientCertificates.caRef", "is missing"},
		"CA in a ConfigMap":        {Edits{l7 + ".layer7.tls.clientCertificates": Block{"mode": "Optional", "caRef": Block{"kind": "ConfigMap", "name": "ca"}}}, Edits{l7 + ".layer7.tls.clientCertificates": Block{"mode": "Optional", "caRef": Block{"name": "ca"}, "crlRef": Block{"name": "ca"}}}, l7 + ".layer7.tls.clientCertificates.caRef.kind", "Secret"},
		"unknown persistence":      {Edits{l7 + ".layer7.persistence.type": "SourceIP"}, Edits{l7 + ".layer7.persistence.type": "Cookie"}, l7 + ".layer7.persistence.type", "Cookie"},
		"cookie name with =":       {Edits{l7 + ".layer7.persistence.cookie.name": "A=B"}, Edits{l7 + ".layer7.persistence.cookie.name": "A_B"}, l7 + ".layer7.persistence.cookie.name", "TPSERVER"},
		"unknown cookie mode":      {Edits{l7 + ".layer7.persistence.cookie.mode": "Learn"}, Edits{l7 + ".layer7.persistence.cookie.mode": "Insert"}, l7 + ".layer7.persistence.cookie.mode", "Insert"},
		"unknown header":           {Edits{l7 + ".layer7.clientAddress.headers": List{"X-Forwarded-For"}}, Edits{l7 + ".layer7.clientAddress.headers": List{"XForwardedFor"}}, l7 + ".layer7.clientAddress.headers[0]", "XForwardedFor"},
		"trusted without prefix":   {Edits{l7 + ".layer7.clientAddress.trustedCIDRs": List{"10.0.0.1"}}, Edits{l7 + ".layer7.clientAddress.trustedCIDRs": List{"10.0.0.1/32"}}, l7 + ".layer7.clientAddress.trustedCIDRs", "/32"},
		"PROXY header from a host": {Edits{l7 + ".layer7.clientAddress.acceptProxyProtocolFrom": List{"10.0.0.1"}}, Edits{l7 + ".layer7.clientAddress.acceptProxyProtocolFrom": List{"10.0.0.1/32"}}, l7 + ".layer7.clientAddress.acceptProxyProtocolFrom", "/32"},
		"trusted prefix 33":        {Edits{l7 + ".layer7.clientAddress.trustedCIDRs": List{"10.0.0.0/33"}}, Edits{l7 + ".layer7.clientAddress.trustedCIDRs": List{"10.0.0.0/24"}}, l7 + ".layer7.clientAddress.trustedCIDRs", "prefix length"},
		"application with a blank": {Edits{l7 + ".layer7.application": "HTTP "}, Edits{l7 + ".layer7.application": "HTTP"}, l7 + ".layer7.application", "TCP"},
	}
}
