// Command truepacs is the operator, the agent, the proxy and the administrator's tool of
// TruePACSBalancer; see internal/cmd.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/truepacs/balancer/internal/cmd"
)

func main() {
	// Whoever reads our output may go away, and the proxy outlives the process that started it: a
	// line that nobody reads must not end connections.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cmd.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
