package v1alpha1

// Condition types of TruePACSBalancer, its virtual services and TruePACSReport.
const (
	// ConditionAccepted: the spec is consistent and conflicts with no other balancer.
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs: every Secret and Service the spec names exists and is usable.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionProgrammed: the directors' kernels and proxies do what the spec says.
	ConditionProgrammed = "Programmed"
	// ConditionServersHealthy: every server passes its health checks.
	ConditionServersHealthy = "ServersHealthy"
	// ConditionCertificatesValid: every certificate, authority and revocation list in use is valid for
	// more than 7 days, and none that was put in its place is refused.
	ConditionCertificatesValid = "CertificatesValid"
	// ConditionNetworkSound: nothing on the directors or their network keeps what is programmed from
	// working.
	ConditionNetworkSound = "NetworkSound"
	// ConditionReady: Accepted, ResolvedRefs and Programmed on every reachable director.
	ConditionReady = "Ready"
	// ConditionReconciling: work is under way (kstatus, abnormal when true).
	ConditionReconciling = "Reconciling"
	// ConditionStalled: no retry can mend it, the spec or the node must change (kstatus).
	ConditionStalled = "Stalled"
)

// Reasons of conditions.
const (
	// ReasonAccepted: nothing is refused.
	ReasonAccepted = "Accepted"
	// ReasonInvalidField: a field has a value that cannot work.
	ReasonInvalidField = "InvalidField"
	// ReasonAddressInUse: a virtual IP is the address of a node, a server, the API server or the
	// default gateway.
	ReasonAddressInUse = "AddressInUse"
	// ReasonPortConflict: another balancer or service uses this address and port already.
	ReasonPortConflict = "PortConflict"
	// ReasonDirectorConflict: another balancer uses this address with other directors.
	ReasonDirectorConflict = "DirectorConflict"
	// ReasonNoDirector: no node matches spec.directors.
	ReasonNoDirector = "NoDirector"
	// ReasonDirectorElsewhere: on a plain host that is not the director; only the director knows.
	ReasonDirectorElsewhere = "DirectorElsewhere"
	// ReasonTwoHolders: two directors say that they hold the same address.
	ReasonTwoHolders = "TwoHolders"
	// ReasonTooManyDirectors: more than one node matches spec.directors.
	ReasonTooManyDirectors = "TooManyDirectors"
	// ReasonServerConflict: a server's address and port are used by modes that cannot share it.
	ReasonServerConflict = "ServerConflict"
	// ReasonServerOffSegment: mode L4DR needs the server on a network of the director.
	ReasonServerOffSegment = "ServerOffSegment"
	// ReasonServiceNotFound: a Service has no EndpointSlice, or not the port that is asked for.
	ReasonServiceNotFound = "ServiceNotFound"
	// ReasonResolved: every reference is resolved.
	ReasonResolved = "Resolved"
	// ReasonSecretNotFound: a Secret does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: a Secret holds no usable certificate and key.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonProgrammed: kernel and proxy do what the spec says.
	ReasonProgrammed = "Programmed"
	// ReasonInterfaceNotFound: the director has no interface for a virtual IP.
	ReasonInterfaceNotFound = "InterfaceNotFound"
	// ReasonAddressOwnedByOther: another host of the segment has a virtual IP, so the director does not
	// take it.
	ReasonAddressOwnedByOther = "AddressOwnedByOther"
	// ReasonKernelRefused: the kernel refused an operation.
	ReasonKernelRefused = "KernelRefused"
	// ReasonModuleMissing: the kernel has no IPVS or no nftables.
	ReasonModuleMissing = "ModuleMissing"
	// ReasonProxyRefused: the proxy refused its configuration.
	ReasonProxyRefused = "ProxyRefused"
	// ReasonProxyMissing: no proxy is connected to the agent.
	ReasonProxyMissing = "ProxyMissing"
	// ReasonKeptLastGood: something new was refused, the last good state goes on.
	ReasonKeptLastGood = "KeptLastGood"
	// ReasonPending: the directors have not reported yet.
	ReasonPending = "Pending"
	// ReasonDirectorSilent: the director has not renewed its Lease.
	ReasonDirectorSilent = "DirectorSilent"
	// ReasonAllHealthy: every server passes its checks.
	ReasonAllHealthy = "AllHealthy"
	// ReasonServersDown: some servers fail their checks.
	ReasonServersDown = "ServersDown"
	// ReasonNoServerLeft: every server of a pool fails its checks.
	ReasonNoServerLeft = "NoServerLeft"
	// ReasonSound: nothing was found that stands in the way.
	ReasonSound = "Sound"
	// ReasonValid: every certificate is valid for more than 30 days, or there is none.
	ReasonValid = "Valid"
	// ReasonExpiresWithin30Days: a certificate should be renewed.
	ReasonExpiresWithin30Days = "ExpiresWithin30Days"
	// ReasonExpiresWithin7Days: a certificate must be renewed.
	ReasonExpiresWithin7Days = "ExpiresWithin7Days"
	// ReasonExpired: a certificate has expired.
	ReasonExpired = "Expired"
	// ReasonCertificateRefused: a new certificate is refused, the one before is served.
	ReasonCertificateRefused = "CertificateRefused"
	// ReasonCertificateFlawed: some clients will refuse a certificate.
	ReasonCertificateFlawed = "CertificateFlawed"
	// ReasonUsedInCluster: a virtual IP is also an address of a Service of the cluster, or in a pool
	// that Services get addresses from.
	ReasonUsedInCluster = "UsedInCluster"
	// ReasonReady: the balancer does what the spec says.
	ReasonReady = "Ready"
	// ReasonInstallationConflict: another TruePACSBalancer installation runs here.
	ReasonInstallationConflict = "InstallationConflict"
	// ReasonSourceLost: the API server no longer lets us see the balancers; the last state stays.
	ReasonSourceLost = "SourceLost"
)

// DirectorLabel is the node label that makes a node a director when spec.directors does not
// say otherwise; its value is "true".
const DirectorLabel = "lb.truepacs.io/director"
