package genl

// Names and limits of linux/ip_vs.h and linux/genetlink.h.
const (
	familyName    = "IPVS" // IPVS_GENL_NAME
	familyVersion = 1      // IPVS_GENL_VERSION

	controlFamily  = 0x10 // GENL_ID_CTRL
	controlVersion = 2
	controlGet     = 3 // CTRL_CMD_GETFAMILY
	controlNew     = 1 // CTRL_CMD_NEWFAMILY
	controlID      = 1 // CTRL_ATTR_FAMILY_ID
	controlName    = 2 // CTRL_ATTR_FAMILY_NAME

	maxName      = 16 // IP_VS_SCHEDNAME_MAXLEN, IP_VS_PENAME_MAXLEN, IP_VS_IFNAME_MAXLEN; the last byte is NUL
	flagHashed   = 2  // IP_VS_SVC_F_HASHED: set by the kernel in all that is read back
	forwardMask  = 7  // IP_VS_CONN_F_FWD_MASK
	allFlagsMask = ^uint32(0)
)

// Command is what a request does (IPVS_CMD_* of linux/ip_vs.h).
type Command uint8

// Commands of a Change.
const (
	NewService Command = 1
	SetService Command = 2
	DelService Command = 3
	NewDest    Command = 5
	SetDest    Command = 6
	DelDest    Command = 7
	// Zero sets the counters of a service and of its destinations to 0.
	Zero Command = 16
)

const (
	getService Command = 4
	getDest    Command = 8
	newDaemon  Command = 9
	delDaemon  Command = 10
	getDaemon  Command = 11
	setConfig  Command = 12
	getConfig  Command = 13
	setInfo    Command = 14 // only in answers to getInfo
	getInfo    Command = 15

	// lookUpFamily stands for the question after the family's number, a command of the controller.
	lookUpFamily Command = 0xff
)

// String says in words what the command does.
func (c Command) String() string {
	switch c {
	case NewService:
		return "add service"
	case SetService:
		return "change service"
	case DelService:
		return "remove service"
	case getService:
		return "read service"
	case NewDest:
		return "add destination"
	case SetDest:
		return "change destination"
	case DelDest:
		return "remove destination"
	case getDest:
		return "read destinations"
	}
	return c.other()
}

func (c Command) other() string {
	switch c {
	case newDaemon:
		return "start synchronisation daemon"
	case delDaemon:
		return "stop synchronisation daemon"
	case getDaemon:
		return "read synchronisation daemons"
	case setConfig:
		return "set timeouts"
	case getConfig:
		return "read timeouts"
	case setInfo, getInfo:
		return "read information"
	case Zero:
		return "zero counters"
	case lookUpFamily:
		return "look up the kernel's IPVS interface"
	}
	return "unknown command"
}

// Attributes of the first level (IPVS_CMD_ATTR_*).
const (
	attrService       = 1
	attrDest          = 2
	attrDaemon        = 3
	attrTimeoutTCP    = 4
	attrTimeoutTCPFin = 5
	attrTimeoutUDP    = 6
)

// Attributes of a service (IPVS_SVC_ATTR_*).
const (
	svcFamily    = 1
	svcProtocol  = 2
	svcAddress   = 3
	svcPort      = 4 // big endian
	svcMark      = 5
	svcScheduler = 6
	svcFlags     = 7 // struct ip_vs_flags
	svcTimeout   = 8 // seconds
	svcNetmask   = 9 // IPv4: the mask in network order; IPv6: the length in host order
	svcStats     = 10
	svcEngine    = 11
	svcStats64   = 12
)

// Attributes of a destination (IPVS_DEST_ATTR_*).
const (
	destAddress     = 1
	destPort        = 2 // big endian
	destForward     = 3
	destWeight      = 4
	destUpper       = 5
	destLower       = 6
	destActive      = 7
	destInactive    = 8
	destPersistent  = 9
	destStats       = 10
	destFamily      = 11 // since Linux 3.18
	destStats64     = 12 // since Linux 4.1
	destTunnelType  = 13 // since Linux 5.3
	destTunnelPort  = 14 // big endian
	destTunnelFlags = 15
)

// Attributes of counters (IPVS_STATS_ATTR_*).
const (
	statsConnections = 1
	statsRates       = 6 // the first of the rates
	statsLast        = 10
	statsPad         = 11
)

// Attributes of a daemon (IPVS_DAEMON_ATTR_*).
const (
	daemonState     = 1
	daemonInterface = 2
	daemonSyncID    = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7 // host order
	daemonTTL       = 8
)

// Attributes of information (IPVS_INFO_ATTR_*).
const (
	infoVersion = 1
	infoSize    = 2
)
