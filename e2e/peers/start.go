package peers

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
)

//go:embed manifest.yaml.tmpl haproxy.cfg.tmpl nginx.conf.tmpl
var templates embed.FS

// node is the host's name in the manifest.
const node = "lb1"

// patience is how long a program may take until it serves. It is an error then, no measurement.
const patience = time.Minute

// Peer is a front program that serves.
type Peer struct {
	*Process
	Program Program
	Front   Front
	// Dir holds the program's files and goes with the test. Output is what it prints; Log is the access log of HTTP
	// requests, for TruePACS, HAProxy and NetHTTP that is Output.
	Dir, Output, Log string
	// Manifests and RunDir are those of TruePACS.
	Manifests, RunDir string

	host Host
}

// Start runs a program as a front on a host until the test ends, and returns once each listener serves.
func Start(t testing.TB, in Host, program Program, front Front) *Peer {
	t.Helper()
	p := &Peer{Program: program, Front: front.withDefaults(), host: in}
	cmd, err := p.prepare(t)
	if err != nil {
		t.Fatalf("prepare %s: %v", program, err)
	}
	out, err := os.Create(p.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the program has it
	cmd.Stdout, cmd.Stderr = out, out
	p.Process = Launch(t, in, cmd)
	if err := p.await(); err != nil {
		t.Fatalf("%s: %v; it printed:\n%s", program, err, p.Printed())
	}
	return p
}

// Printed is the end of what the program has printed.
func (p *Peer) Printed() string {
	text, err := os.ReadFile(p.Output)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// prepare writes the program's files and returns its command.
func (p *Peer) prepare(t testing.TB) (cmd *exec.Cmd, err error) {
	if p.Dir, err = os.MkdirTemp("", "truepacs-peer"); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.Dir) })
	if err := os.Chmod(p.Dir, 0o755); err != nil { // programs give up root's rights
		return nil, err
	}
	p.Output = filepath.Join(p.Dir, "output")
	p.Log = p.Output
	if p.Program != TruePACS {
		if err := p.addAddress(); err != nil {
			return nil, err
		}
	}
	switch p.Program {
	case TruePACS:
		return p.truepacs()
	case HAProxy:
		file, err := p.render("haproxy.cfg.tmpl", "haproxy.cfg")
		return exec.Command("haproxy", "-db", "-f", file), err
	case NGINX:
		p.Log = filepath.Join(p.Dir, "access.log")
		file, err := p.render("nginx.conf.tmpl", "nginx.conf")
		return exec.Command("nginx", "-p", p.Dir, "-c", file, "-e", p.Output), err
	case NetHTTP:
		return p.netHTTP(t)
	}
	return nil, fmt.Errorf("there is no program %q", p.Program)
}

func (p *Peer) truepacs() (*exec.Cmd, error) {
	if p.Front.Interface == "" {
		return nil, errors.New("truepacs manages its address: write an interface of a network namespace")
	}
	program, err := site.Program()
	if err != nil {
		return nil, err
	}
	p.Manifests, p.RunDir = filepath.Join(p.Dir, "manifests"), filepath.Join(p.Dir, "run")
	if err := os.Mkdir(p.Manifests, 0o700); err != nil {
		return nil, err
	}
	if err := p.Configure(p.Front); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "run", "-f", p.Manifests, "--node", node, "--run-dir", p.RunDir, "--state-dir", filepath.Join(p.Dir, "state"))
	if p.Front.Threads != (Front{}).withDefaults().Threads {
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", p.Front.Threads))
	}
	return cmd, nil
}

// Configure gives a running TruePACS another description, by replacing its manifest in one step.
func (p *Peer) Configure(front Front) error {
	p.Front = front.withDefaults()
	file, err := p.render("manifest.yaml.tmpl", "front.yaml")
	if err != nil {
		return err
	}
	return os.Rename(file, filepath.Join(p.Manifests, "front.yaml"))
}

// addAddress gives the host the address that TruePACS would add by itself.
func (p *Peer) addAddress() error {
	if p.Front.Interface == "" {
		return nil
	}
	prefix := netip.PrefixFrom(p.Front.Address, p.Front.Address.BitLen())
	return p.host.enter(func() error {
		out, err := exec.Command("ip", "address", "replace", prefix.String(), "dev", p.Front.Interface).CombinedOutput()
		if err != nil {
			return fmt.Errorf("give %s the address %s: %w: %s", p.Front.Interface, prefix, err, out)
		}
		return nil
	})
}

// netHTTP builds the program of that name.
func (p *Peer) netHTTP(t testing.TB) (*exec.Cmd, error) {
	program, file := filepath.Join(p.Dir, "nethttp"), filepath.Join(p.Dir, "front.json")
	if err := lab.BuildStatic(t.Context(), "./e2e/peers/nethttp", program); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p.Front)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, file)
	cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", p.Front.Threads))
	return cmd, os.WriteFile(file, text, 0o600)
}

// render writes a template's text and returns the file.
func (p *Peer) render(name, file string) (string, error) {
	parsed, err := template.New(name).Funcs(template.FuncMap{
		"addr":     func(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() },
		"bundle":   p.bundle,
		"file":     indented,
		"variable": func(name string) string { return strings.ReplaceAll(name, "-", "_") },
	}).ParseFS(templates, name)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, struct {
		Front
		Dir string
	}{p.Front, p.Dir}); err != nil {
		return "", err
	}
	file = filepath.Join(p.Dir, file)
	return file, os.WriteFile(file, text.Bytes(), 0o600)
}

// bundle writes certificate and key into one file, as HAProxy wants them.
func (p *Peer) bundle(l Listener) (string, error) {
	certificate, err := os.ReadFile(l.Certificate)
	if err != nil {
		return "", err
	}
	key, err := os.ReadFile(l.Key)
	if err != nil {
		return "", err
	}
	file := filepath.Join(p.Dir, l.Name+".pem")
	return file, os.WriteFile(file, append(certificate, key...), 0o600)
}

// indented is a file as a block of YAML.
func indented(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return "    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    "), nil
}
