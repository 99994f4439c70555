package refusals

import "testing"

// gateway is the director's default gateway.
const gateway = "192.0.2.1"

// TestRefusalsOnAHost gives a director what an administrator may get wrong, while good services
// work on it: none of their connections is cut, new ones work, and no process ends.
func TestRefusalsOnAHost(t *testing.T) {
	s := startServer(t)
	count := environment(t, "REFUSALS_MUTATIONS", 150)
	h := newHost(t, int64(100+count/4))
	t.Run("bad specs", func(t *testing.T) { badSpecs(t, h) })
	t.Run("unfitting specs", func(t *testing.T) { unfitting(t, h) })
	t.Run("mutations", func(t *testing.T) { mutations(t, h, s) })
	h.finish(t)
}
