package health

// Reason is why a verdict is what it is: a CamelCase word for machines. Empty for a healthy target
// about which there is nothing to say.
type Reason string

// Reasons of failures: they count towards Fall.
const (
	// ConnectionRefused: the host is up, nothing listens on the port.
	ConnectionRefused Reason = "ConnectionRefused"
	// ConnectTimeout: no answer to the connection attempt within the timeout.
	ConnectTimeout Reason = "ConnectTimeout"
	// NoRoute: no way to the address, or nobody there answers ARP or neighbour discovery.
	NoRoute Reason = "NoRoute"
	// ConnectFailed: the connection attempt failed in another way.
	ConnectFailed Reason = "ConnectFailed"
	// ResponseTimeout: connected, but no complete answer within the timeout.
	ResponseTimeout Reason = "ResponseTimeout"
	// ConnectionReset: the server reset the connection before it had answered.
	ConnectionReset Reason = "ConnectionReset"
	// ConnectionClosed: the server closed the connection before it had answered.
	ConnectionClosed Reason = "ConnectionClosed"
	// TLSHandshakeFailed: no TLS session could be set up.
	TLSHandshakeFailed Reason = "TLSHandshakeFailed"
	// UnexpectedStatus: an HTTP status outside ExpectedStatuses.
	UnexpectedStatus Reason = "UnexpectedStatus"
	// UnexpectedBody: an HTTP body without ExpectedBody.
	UnexpectedBody Reason = "UnexpectedBody"
	// AssociationRejected: A-ASSOCIATE-RJ that is neither busy nor about an AE title.
	AssociationRejected Reason = "AssociationRejected"
	// AETitleRejected: A-ASSOCIATE-RJ 1/1/3 or 1/1/7; a title is configured wrongly.
	AETitleRejected Reason = "AETitleRejected"
	// AssociationAborted: A-ABORT.
	AssociationAborted Reason = "AssociationAborted"
	// VerificationRefused: association accepted without the Verification service.
	VerificationRefused Reason = "VerificationRefused"
	// EchoStatus: C-ECHO answered with a status other than 0000H.
	EchoStatus Reason = "EchoStatus"
	// NoVIP: the server answers on its own address, but not on the virtual IP address.
	NoVIP Reason = "NoVIP"
	// OffSegment: direct routing cannot reach the server, a router is in between.
	OffSegment Reason = "OffSegment"
	// AgentReportsDown: the agent on the server answered down, fail or stopped.
	AgentReportsDown Reason = "AgentReportsDown"
	// ProgramFailed: the external program exited with 1.
	ProgramFailed Reason = "ProgramFailed"
	// ProgramTimeout: the external program did not end in time.
	ProgramTimeout Reason = "ProgramTimeout"
	// ProtocolError: the server speaks another protocol, or this one wrongly.
	ProtocolError Reason = "ProtocolError"
)

// Reasons that are no failures.
const (
	// ServerBusy: the server answered that it takes no further association now. It counts as a
	// pass: taking a busy server out sends its load to the others.
	ServerBusy Reason = "ServerBusy"
	// AgentSilent: the agent on the server could not be asked, or its answer not be read. It counts
	// neither way: whether the server works is for the other checks to say.
	AgentSilent Reason = "AgentSilent"
	// AgentDrains: the agent asks for no new connections, or for no share of the server's weight.
	AgentDrains Reason = "AgentDrains"
	// AgentMaintains: the agent has put the server into maintenance.
	AgentMaintains Reason = "AgentMaintains"
	// LocalFault: this host could not even try. It counts neither way.
	LocalFault Reason = "LocalFault"
	// InvalidCheck: the check cannot be run as written. It counts neither way.
	InvalidCheck Reason = "InvalidCheck"
	// NotYetChecked: no check has decided yet.
	NotYetChecked Reason = "NotYetChecked"
	// NoChecks: the target has no checks and is taken for healthy.
	NoChecks Reason = "NoChecks"
)

// withdraws tells reasons for which a server that is well gets no new connections.
func (r Reason) withdraws() bool { return r == AgentDrains || r == AgentMaintains }
