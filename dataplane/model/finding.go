package model

// Finding is something on this host or its segment that keeps a service from working although
// kernel and proxy do what they were told.
type Finding struct {
	// Key is the key of the VirtualIP or VirtualService that suffers; empty: all do.
	Key string `json:"key,omitempty"`
	// Reason is one CamelCase word.
	Reason string `json:"reason"`
	// Message is a sentence or two for the administrator: what was seen and what to do.
	Message string `json:"message"`
	// Advice says that traffic may be well all the same: what is told is a risk.
	Advice bool `json:"advice,omitempty"`
}
