package model

import "time"

// Verdict is the state of one server, as its health checks see it.
type Verdict struct {
	// Known says that the checks have decided.
	Known bool `json:"known"`
	// Healthy says that all checks pass.
	Healthy bool `json:"healthy"`
	// Reason is one CamelCase word for what failed, empty while healthy.
	Reason string `json:"reason,omitempty"`
	// Message is a sentence for the administrator: what failed, where, what to do.
	Message string `json:"message,omitempty"`
	// Since is when the verdict last changed.
	Since time.Time `json:"since,omitzero"`
}
