package preflight

// Reasons of findings.
const (
	ReasonServerAnswersARP    = "ServerAnswersARP"
	ReasonAddressOwnedByOther = "AddressOwnedByOther"
	ReasonServerWithoutVIP    = "ServerWithoutVIP"
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
	ReasonReturnPathMissing   = "ReturnPathMissing"
)
