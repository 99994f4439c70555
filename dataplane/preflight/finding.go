package preflight

// Reasons of findings.
const (
	ReasonServerAnswersARP    = "ServerAnswersARP"
	ReasonAddressOwnedByOther = "AddressOwnedByOther"
	ReasonServerWithoutVIP    = "ServerWithoutVIP"
	ReasonUsedByService       = "UsedByService"
	ReasonMTUMismatch         = "MTUMismatch"
	ReasonStrictSourceCheck   = "StrictSourceCheck"
	ReasonDirectorIsGateway   = "DirectorIsGateway"
	ReasonForeignIPVS         = "ForeignIPVS"
	ReasonKubeProxyIPVS       = "KubeProxyIPVS"
	ReasonReceiveOffload      = "ReceiveOffload"
	ReasonMarksAltered        = "MarksAltered"
	ReasonPortTaken           = "PortTaken"
	ReasonServersCallVIP      = "ServersCallVIP"
	ReasonForwardingOff       = "ForwardingOff"
)

// Finding is one thing that is wrong, and what to do.
type Finding struct {
	// Key is the key of the model.VirtualIP or model.VirtualService that suffers; empty: all do.
	Key string
	// Reason is one of the reasons above.
	Reason string
	// Message is a sentence or two for the administrator.
	Message string
	// Advice says that traffic may be well all the same: what is told is a risk.
	Advice bool
}
