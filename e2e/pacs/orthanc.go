package pacs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

// Ports of an Orthanc of the lab.
const (
	DICOMPort = 11112
	HTTPPort  = 8042
	// AETitle is Orthanc's own.
	AETitle = "TRUEPACS"
)

// Orthanc is a PACS server on a host of the lab.
type Orthanc struct {
	Host    lab.Host
	process *lab.Process
	folder  string
}

// StartOrthanc starts an Orthanc on a host and returns when it answers.
func StartOrthanc(ctx context.Context, host lab.Host) (*Orthanc, error) {
	o := &Orthanc{Host: host, folder: "/var/lib/pacs"}
	config, err := json.Marshal(o.config())
	if err != nil {
		return nil, err
	}
	if err := host.Put(ctx, o.folder+"/orthanc.json", strings.NewReader(string(config)), 0o644); err != nil {
		return nil, fmt.Errorf("configure Orthanc on %s: %w", host.Name(), err)
	}
	return o, o.Start(ctx)
}

func (o *Orthanc) config() map[string]any {
	return map[string]any{
		"Name":                       o.Host.Name(),
		"StorageDirectory":           o.folder + "/storage",
		"IndexDirectory":             o.folder + "/index",
		"DicomAet":                   AETitle,
		"DicomPort":                  DICOMPort,
		"DicomAlwaysAllowStore":      true,
		"DicomAlwaysAllowEcho":       true,
		"HttpPort":                   HTTPPort,
		"RemoteAccessAllowed":        true,
		"AuthenticationEnabled":      false,
		"StoreDicom":                 true,
		"OverwriteInstances":         true,
		"UnknownSopClassAccepted":    true,
		"TcpNoDelay":                 true,
		"Plugins":                    []string{"/usr/share/orthanc/plugins"},
		"DicomWeb":                   map[string]any{"Enable": true, "Root": "/dicom-web/"},
		"ExecuteLuaEnabled":          false,
		"DicomScuTimeout":            10,
		"DicomScpTimeout":            600,
		"DicomThreadsCount":          64,
		"ConcurrentJobs":             2,
		"MaximumStorageSize":         0,
		"HttpRequestTimeout":         60,
		"HttpThreadsCount":           20,
		"DicomAssociationCloseDelay": 5,
	}
}

// Start starts the server again after Kill and returns when it answers.
func (o *Orthanc) Start(ctx context.Context) error {
	process, err := o.Host.Start(context.WithoutCancel(ctx), lab.ProcessSpec{
		Argv: []string{"Orthanc", o.folder + "/orthanc.json"},
		Env:  []string{"TCP_NODELAY=1"},
	})
	if err != nil {
		return fmt.Errorf("start Orthanc on %s (package orthanc): %w", o.Host.Name(), err)
	}
	o.process = process
	for {
		if _, err = o.get(ctx, "/system"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Orthanc on %s does not answer: %w", o.Host.Name(), errors.Join(err, ctx.Err()))
		case <-process.Done():
			return fmt.Errorf("the Orthanc on %s ended", o.Host.Name())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Kill kills the server; its database stays.
func (o *Orthanc) Kill() error { return o.process.Kill() }

// Freeze stops the server as SIGSTOP does: its kernel goes on answering for it. Thaw ends that.
func (o *Orthanc) Freeze() error { return o.process.Signal(syscall.SIGSTOP) }

// Thaw lets the server go on.
func (o *Orthanc) Thaw() error { return o.process.Signal(syscall.SIGCONT) }

// Stored returns the objects the server has, read from its own database and hashed by pydicom.
func (o *Orthanc) Stored(ctx context.Context) ([]Instance, error) {
	body, err := o.get(ctx, "/instances")
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(body, &ids); err != nil {
		return nil, fmt.Errorf("list of instances of %s: %w", o.Host.Name(), err)
	}
	folder, err := os.MkdirTemp("", "pacs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for _, id := range ids {
		file, err := o.get(ctx, "/instances/"+id+"/file")
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, id), file, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return Instances(ctx, folder)
}

// Add puts an object into the server directly, not through the balancer.
func (o *Orthanc) Add(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = o.do(ctx, http.MethodPost, "/instances", file)
	return err
}

func (o *Orthanc) get(ctx context.Context, path string) ([]byte, error) {
	return o.do(ctx, http.MethodGet, path, nil)
}

// do asks the server from its own host, so that no balancer is in the way.
func (o *Orthanc) do(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	url := fmt.Sprintf("http://127.0.0.1:%d%s", HTTPPort, path)
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return o.Host.Dial(ctx, network, address)
		},
	}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", o.Host.Name(), err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask %s for %s: %s", o.Host.Name(), path, answer.Status)
	}
	return content, err
}
