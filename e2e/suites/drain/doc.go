// Package drain shows how a server leaves: fifty associations of real modalities go on while it gets
// no new one, status says that it is drained when the last has closed, a drain timeout and
// maintenance end what is left at both ends, and the agent's death changes none of it.
package drain
