package agent

// Operations of a Request.
const (
	opPing  = "ping"
	opStart = "start"
	opPut   = "put"
	opGet   = "get"
	opDial  = "dial"
	opClock = "clock"
)

// Request opens a connection's work.
type Request struct {
	Operation string   `json:"op"`
	Argv      []string `json:"argv,omitempty"`
	Env       []string `json:"env,omitempty"` // added to the agent's own
	Dir       string   `json:"dir,omitempty"`
	Stdin     bool     `json:"stdin,omitempty"` // stdin frames follow; else /dev/null
	// Isolate starts the command as first process of new network, mount, UTS,
	// IPC and PID namespaces.
	Isolate bool   `json:"isolate,omitempty"`
	Path    string `json:"path,omitempty"`
	Mode    uint32 `json:"mode,omitempty"` // permission bits of a put file
	Network string `json:"network,omitempty"`
	Address string `json:"address,omitempty"`
	// Clock is the time to set, in nanoseconds since 1970.
	Clock int64 `json:"clock,omitempty"`
}

type started struct {
	PID int `json:"pid"`
}

type signalRequest struct {
	Number int  `json:"number"`
	Group  bool `json:"group"` // the whole process group instead of the process
}

// Exit is how a command ended.
type Exit struct {
	// Code is the exit status, or 128 plus the signal's number, as a shell has it.
	Code int `json:"code"`
	// Signal is the number of the signal that ended the command, else 0.
	Signal int `json:"signal,omitempty"`
}
