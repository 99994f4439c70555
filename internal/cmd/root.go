package cmd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/truepacs/balancer/internal/version"
)

// Main runs the program and returns its exit status: 0 done, 1 failed, 2 wrong usage.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "truepacs:", err)
		return 1
	}
	return 0
}

const defaultRunDir = "/run/truepacs"

// app is what the commands share.
type app struct {
	stderr    io.Writer
	verbosity int
	logFormat string
}

func newRoot(stderr io.Writer) *cobra.Command {
	a := &app{stderr: stderr}
	root := &cobra.Command{
		Use:           "truepacs",
		Short:         "Load balancer for PACS servers",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.Version(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().IntVarP(&a.verbosity, "verbosity", "v", 0, "0: what happens; 1 and more: also why")
	root.PersistentFlags().StringVar(&a.logFormat, "log-format", "text", "text or json")
	root.AddCommand(
		a.operator(), a.agent(), a.proxy(), a.run(), a.status(), a.uninstall(), a.probe(),
		a.coldStartPod(), a.explain(), a.connections(), a.stats(), a.realserverSetup(), a.realserverCheck(),
	)
	return root
}

// logFlags are the flags that make another process log as this one does.
func (a *app) logFlags() []string {
	return []string{"--log-format", a.logFormat, "--verbosity", strconv.Itoa(a.verbosity)}
}

// log returns the logger that the flags ask for. It writes to standard error.
func (a *app) log() (logr.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.Level(-a.verbosity)}
	var handler slog.Handler
	switch a.logFormat {
	case "text":
		handler = slog.NewTextHandler(a.stderr, options)
	case "json":
		handler = slog.NewJSONHandler(a.stderr, options)
	default:
		return logr.Discard(), fmt.Errorf("--log-format %q is unknown: write text or json", a.logFormat)
	}
	log := logr.FromSlogHandler(handler)
	// The Kubernetes libraries log through globals of their own.
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log, nil
}
