package controllers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
)

// home is the namespace of the installation under test, as in config/default.
const home = "truepacs-system"

// patience bounds every wait; it is far beyond what a slow machine needs.
const patience = 60 * time.Second

// cluster is a real API server of this test program alone, with config/default and the chart's
// uninstall hook applied: an installation is a matter of the whole cluster, so it cannot be shared.
var cluster struct {
	plane *controlplane.ControlPlane
	admin client.Client
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = plane.Close() }()
	cluster.plane = plane
	if err := prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "apply config/default:", err)
		return 1
	}
	return m.Run()
}

func prepare(ctx context.Context) error {
	cfg, err := cluster.plane.Config()
	if err != nil {
		return err
	}
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	cfg.Timeout = patience
	if cluster.admin, err = client.New(cfg, client.Options{Scheme: scheme, FieldValidation: "Strict"}); err != nil {
		return err
	}
	for _, cmd := range []*exec.Cmd{
		exec.CommandContext(ctx, program("KUBECTL", "kubectl"), "kustomize", "../config/default"),
		exec.CommandContext(ctx, program("HELM", "helm"), "template", "../charts/truepacs-balancer",
			"--namespace", home, "--show-only", "templates/uninstall.yaml"),
	} {
		text, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%v: %w", cmd.Args, err)
		}
		if err := applyAll(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// program is a pinned program: named by an environment variable, else in .cache/bin.
func program(variable, name string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	return filepath.Join("..", ".cache", "bin", name)
}

func applyAll(ctx context.Context, text []byte) error {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := cluster.admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test")); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

// configOf reaches the API server as one who may do what RBAC grants a ServiceAccount of the installation.
func configOf(t *testing.T, account string) *rest.Config {
	t.Helper()
	cfg, err := cluster.plane.ConfigFor(controlplane.Subject{
		User:   "system:serviceaccount:" + home + ":" + account,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + home},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func clientOf(t *testing.T, account string) client.Client {
	t.Helper()
	cfg := configOf(t, account)
	cfg.Timeout = patience
	c, err := client.New(cfg, client.Options{Scheme: cluster.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// logbook collects log lines.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, prefix+" "+args)
	}, funcr.Options{})
}

func (l *logbook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// operator runs the operator as its ServiceAccount until the test ends. That RBAC forbids it
// something fails the test.
func operator(t *testing.T, change ...func(*controllers.Options)) (settings string) {
	t.Helper()
	settings = filepath.Join(t.TempDir(), "settings.yaml")
	writeSettings(t, settings, "image: truepacs/balancer:v1\n")
	log := &logbook{}
	o := controllers.Options{
		Namespace: home, SettingsPath: settings, Config: configOf(t, "truepacs-operator"),
		Version: "v1", Log: log.logger(), SkipNameCheck: true,
	}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- controllers.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the operator ended with: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("the operator did not end within %s:\n%s", patience, log.text())
		}
		if text := log.text(); strings.Contains(strings.ToLower(text), "forbidden") {
			t.Errorf("RBAC forbids the operator something it does:\n%s", text)
		}
		sweep(t)
	})
	return settings
}

func writeSettings(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// eventually repeats check until it returns nil.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last error
	for {
		if last = check(ctx); last == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen within %s: %v", what, patience, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
