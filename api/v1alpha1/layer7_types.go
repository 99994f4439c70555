package v1alpha1

// Application is what a layer 7 service speaks.
//
// +kubebuilder:validation:Enum=HTTP;TCP
type Application string

const (
	// ApplicationHTTP is HTTP/1.1, requests are routed one by one.
	ApplicationHTTP Application = "HTTP"
	// ApplicationTCP is any protocol over TCP, connections are passed through.
	ApplicationTCP Application = "TCP"
)

// Algorithm chooses the server of a request or connection at layer 7.
//
// +kubebuilder:validation:Enum=RoundRobin;LeastConnection
type Algorithm string

const (
	// AlgorithmRoundRobin gives requests to the servers in turn, by weight.
	AlgorithmRoundRobin Algorithm = "RoundRobin"
	// AlgorithmLeastConnection prefers the server with the fewest open requests, by weight.
	AlgorithmLeastConnection Algorithm = "LeastConnection"
)

// Layer7 holds the settings of mode L7SNAT.
//
// +kubebuilder:validation:XValidation:rule="self.application == 'HTTP' || !has(self.http)",message="http may only be set when application is HTTP: remove http, or write application: HTTP"
// +kubebuilder:validation:XValidation:rule="self.application == 'HTTP' || !has(self.persistence)",message="cookie persistence needs application HTTP: remove persistence, or write application: HTTP"
// +kubebuilder:validation:XValidation:rule="self.application == 'HTTP' || !has(self.clientAddress) || !has(self.clientAddress.headers) && !has(self.clientAddress.trustedCIDRs)",message="clientAddress headers need application HTTP: remove headers and trustedCIDRs from clientAddress, or write application: HTTP"
type Layer7 struct {
	// application is what the service speaks: HTTP or TCP.
	// +required
	Application Application `json:"application,omitempty"`
	// algorithm chooses the server. Absent: LeastConnection.
	// +optional
	Algorithm Algorithm `json:"algorithm,omitempty"`
	// tls makes the balancer end TLS. Absent: the service is not encrypted by the balancer.
	// +optional
	TLS *ListenerTLS `json:"tls,omitempty"`
	// persistence keeps a client on one server. Absent: each request is balanced anew.
	// +optional
	Persistence *Layer7Persistence `json:"persistence,omitempty"`
	// clientAddress says how the server learns the client's address. Absent: X-Forwarded-For
	// is set when application is HTTP.
	// +optional
	ClientAddress *ClientAddress `json:"clientAddress,omitempty"`
	// http belongs to application HTTP.
	// +optional
	HTTP *HTTPSettings `json:"http,omitempty"`
}

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum=TLS12;TLS13
type TLSVersion string

const (
	// TLS12 is TLS 1.2 (RFC 5246).
	TLS12 TLSVersion = "TLS12"
	// TLS13 is TLS 1.3 (RFC 8446).
	TLS13 TLSVersion = "TLS13"
)

// ListenerTLS ends TLS at the balancer.
//
// +kubebuilder:validation:XValidation:rule="!has(self.cipherSuites) || !has(self.minVersion) || self.minVersion != 'TLS13'",message="cipherSuites are those of TLS 1.2: remove cipherSuites, or write minVersion: TLS12"
type ListenerTLS struct {
	// certificateRefs name Secrets of type kubernetes.io/tls in the same namespace, with keys
	// tls.crt and tls.key. Several are chosen by the client's server name (SNI) and by the kinds of
	// key that it supports; the first serves clients that match none. A renewed certificate that
	// cannot be used, is not valid yet or is for other names is refused, and the one in use stays.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	CertificateRefs []SecretReference `json:"certificateRefs,omitempty"`
	// serverNames are the names that clients use: host names, wildcards such as *.example.org, or
	// addresses. A certificate that would leave one of them without any is refused. Absent: a
	// renewed certificate must have a name in common with the one before.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[A-Za-z0-9_:]([A-Za-z0-9._:-]*[A-Za-z0-9_:])?$`
	ServerNames []string `json:"serverNames,omitempty"`
	// minVersion is the oldest TLS version accepted. Absent: TLS12.
	// +optional
	MinVersion TLSVersion `json:"minVersion,omitempty"`
	// cipherSuites are those of TLS 1.2 that are accepted, by their names in the IANA registry, for
	// example TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384. Those of TLS 1.3 cannot be chosen. Absent: all
	// that are secure.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^TLS_[A-Z0-9_]+$`
	CipherSuites []string `json:"cipherSuites,omitempty"`
	// clientCertificates makes clients show a certificate. Absent: none is asked for.
	// +optional
	ClientCertificates *ClientCertificates `json:"clientCertificates,omitempty"`
}

// ClientCertificateMode says who needs a certificate.
//
// +kubebuilder:validation:Enum=Optional;Required
type ClientCertificateMode string

const (
	// ClientCertificateOptional lets clients without a certificate in; one that is shown must be good.
	ClientCertificateOptional ClientCertificateMode = "Optional"
	// ClientCertificateRequired lets no client in without a good certificate.
	ClientCertificateRequired ClientCertificateMode = "Required"
)

// ClientCertificates makes clients show a certificate.
type ClientCertificates struct {
	// mode says who needs a certificate: Optional or Required.
	// +required
	Mode ClientCertificateMode `json:"mode,omitempty"`
	// caRef is where the certificates of the authorities are that issue the clients' certificates, PEM
	// encoded. Key absent: ca.crt.
	// +required
	CARef SecretKeyReference `json:"caRef,omitempty,omitzero"`
	// crlRef is where the revocation lists of these authorities are, PEM encoded or one in DER. Every
	// authority needs one that is current: without it its clients are refused. Key absent: ca.crl.
	// crlRef absent: revocation is not looked at.
	// +optional
	CRLRef *SecretKeyReference `json:"crlRef,omitempty"`
}

// ReferenceKind is the kind of an object that is referred to.
//
// +kubebuilder:validation:Enum=Secret
type ReferenceKind string

// KindSecret is a Secret.
const KindSecret ReferenceKind = "Secret"

// SecretKeyReference names a key of a Secret in the same namespace.
type SecretKeyReference struct {
	// kind is the kind of the object. Absent: Secret.
	// +optional
	Kind ReferenceKind `json:"kind,omitempty"`
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// key is the key in the Secret's data.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._A-Za-z0-9]+$`
	Key string `json:"key,omitempty"`
}

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// Layer7PersistenceType is how a client is recognised.
//
// +kubebuilder:validation:Enum=Cookie
type Layer7PersistenceType string

// PersistenceCookie recognises a client by a cookie.
const PersistenceCookie Layer7PersistenceType = "Cookie"

// Layer7Persistence keeps a client on one server.
type Layer7Persistence struct {
	// type is how a client is recognised: Cookie.
	// +required
	Type Layer7PersistenceType `json:"type,omitempty"`
	// cookie belongs to type Cookie.
	// +optional
	Cookie *CookiePersistence `json:"cookie,omitempty"`
}

// CookieMode is who makes the cookie.
//
// +kubebuilder:validation:Enum=Insert
type CookieMode string

// CookieInsert means the balancer sets the cookie and removes it from requests to the server.
const CookieInsert CookieMode = "Insert"

// CookiePersistence keeps a browser on one server by a cookie.
type CookiePersistence struct {
	// name is the cookie's name. Absent: TPSERVER.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.-]+$`
	Name string `json:"name,omitempty"`
	// mode is who makes the cookie. Absent: Insert.
	// +optional
	Mode CookieMode `json:"mode,omitempty"`
}

// ClientAddressHeader is a request header that carries the client's address.
//
// +kubebuilder:validation:Enum=XForwardedFor
type ClientAddressHeader string

// HeaderXForwardedFor is X-Forwarded-For, with X-Forwarded-Proto and X-Forwarded-Host.
const HeaderXForwardedFor ClientAddressHeader = "XForwardedFor"

// ClientAddress says how the server learns the client's address.
type ClientAddress struct {
	// headers are the request headers that carry it. An empty list sets none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Headers []ClientAddressHeader `json:"headers,omitempty"`
	// trustedCIDRs are the proxies in front of us: from them a header that is already there is
	// kept and added to, from anyone else it is replaced. Absent: trust nobody.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="trustedCIDRs must be networks with prefix length, for example 192.0.2.0/24 (one host: 192.0.2.7/32)"
	TrustedCIDRs []string `json:"trustedCIDRs,omitempty"`
	// acceptProxyProtocolFrom are load balancers and firewalls in front of us that begin each connection
	// with a PROXY protocol header, version 1 or 2, which says who the client is. From them a
	// connection without one is closed; from anyone else none is looked for. Absent: nobody.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="acceptProxyProtocolFrom must be networks with prefix length, for example 192.0.2.0/24 (one host: 192.0.2.7/32)"
	AcceptProxyProtocolFrom []string `json:"acceptProxyProtocolFrom,omitempty"`
}

// HTTPSettings holds what is particular to application HTTP.
type HTTPSettings struct {
	// routes are tried in order, the first match wins. No match: the service's serverPool.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Routes []HTTPRoute `json:"routes,omitempty"`
}

// HTTPRoute sends some requests to another pool or changes them.
type HTTPRoute struct {
	// name is how status, logs and commands call this route.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// matches are alternatives: one of them must match.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Matches []HTTPMatch `json:"matches,omitempty"`
	// serverPool is the name of one of spec.serverPools.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ServerPool string `json:"serverPool,omitempty"`
	// rewrite changes the request's path.
	// +optional
	Rewrite *HTTPRewrite `json:"rewrite,omitempty"`
	// requestHeaders changes the request's headers.
	// +optional
	RequestHeaders *HeaderChanges `json:"requestHeaders,omitempty"`
}

// HTTPMatch is a condition on a request.
type HTTPMatch struct {
	// pathPrefix matches whole path elements: /dicom-web matches /dicom-web and
	// /dicom-web/studies, not /dicom-webs. It is compared byte for byte, before any decoding.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[!-"$->@-~]*$`
	PathPrefix string `json:"pathPrefix,omitempty"`
}

// HTTPRewrite changes the path of a request.
type HTTPRewrite struct {
	// pathPrefix stands in place of the prefix that matched; the rest of the path and the query
	// stay as they are.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[!-"$->@-~]*$`
	PathPrefix string `json:"pathPrefix,omitempty"`
}

// HeaderChanges changes headers; remove is done before set.
type HeaderChanges struct {
	// set gives headers a value, in place of any value they had.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Set []Header `json:"set,omitempty"`
	// remove takes headers away, by name: letters, digits and hyphens, for example X-Debug.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9!#$%&*+.^_|~-]+$`
	// +kubebuilder:validation:XValidation:rule="self.all(n, !(n.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer']))",message="Host and the headers that frame a message (Content-Length, Transfer-Encoding, Connection, Upgrade, TE, Trailer) cannot be removed: take them out of the list"
	Remove []string `json:"remove,omitempty"`
}

// Header is a header with its value.
type Header struct {
	// name is the header's name: letters, digits and hyphens, for example X-Site.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&*+.^_|~-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer'])",message="Host and the headers that frame a message (Content-Length, Transfer-Encoding, Connection, Upgrade, TE, Trailer) cannot be set: take them out of the list"
	Name string `json:"name,omitempty"`
	// value is the header's value: printable ASCII, not starting or ending with a space.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[!-~]([ -~]*[!-~])?$`
	Value string `json:"value,omitempty"`
}
