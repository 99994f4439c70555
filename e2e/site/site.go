package site

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/pacs"
	"golang.org/x/sync/errgroup"
)

// Addresses of the site (RFC 5737, TEST-NET-1).
const (
	VIP             = "192.0.2.100"
	DirectorAddress = "192.0.2.2"
	ViewerAddress   = "192.0.2.40"
	// DICOMPort and HTTPSPort are the ports of the virtual services.
	DICOMPort = pacs.DICOMPort
	HTTPSPort = 443
	// ManifestDir is where the hosts have their manifests.
	ManifestDir = "/etc/truepacs"
)

// directorProgram is where the director has the program.
const directorProgram = "/usr/local/bin/truepacs"

// Modalities is the number of modalities of a site.
const Modalities = 6

// Options of a site.
type Options struct {
	// Binary is the path of the truepacs program.
	Binary string
	// Log receives a line for each thing that is done; nil discards them.
	Log func(format string, args ...any)
	// Tools are further programs of the director.
	Tools []string
	// RunArguments are further arguments of the director's `truepacs run`.
	RunArguments []string
	// DirectorDisk is a disk with a Debian that the director runs in place of the lab's own small
	// system. It has ipvsadm, nft and ip.
	DirectorDisk string
}

// Site is a small hospital.
type Site struct {
	Lab      *lab.Lab
	LAN      *lab.Network
	Director *lab.Machine
	// Servers are pacs-a and pacs-b.
	Servers []*pacs.Orthanc
	// Modalities send images, each from an address of its own.
	Modalities []pacs.Modality
	// Viewer is a workstation with a browser.
	Viewer *lab.Namespace

	options Options
	agents  map[string]*lab.Process
	outputs map[string]*printed.Text
}

// New builds a site with its PACS servers running; agents are not started yet. Close it, or
// exit: both remove it.
func New(ctx context.Context, options Options) (*Site, error) {
	l, err := lab.New(lab.Options{Name: "site", Log: options.Log})
	if err != nil {
		return nil, err
	}
	s := &Site{Lab: l, options: options, agents: map[string]*lab.Process{}, outputs: map[string]*printed.Text{}}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

func (s *Site) build(ctx context.Context) (err error) {
	if s.LAN, err = s.Lab.Network("lan"); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bootDirector(ctx) })
	group.Go(func() error { return s.startServers(ctx) })
	group.Go(s.placeClients)
	return group.Wait()
}

func (s *Site) bootDirector(ctx context.Context) (err error) {
	if s.options.DirectorDisk != "" {
		return s.bootDebian(ctx)
	}
	s.Director, err = s.Lab.Machine("lb1", lab.MachineSpec{
		NICs:     []lab.NIC{s.nic(DirectorAddress)},
		Tools:    append([]string{"ipvsadm", "nft", "ip", "ss", "curl"}, s.options.Tools...),
		Files:    map[string]string{directorProgram: s.options.Binary},
		Disk:     256,
		MemoryMB: 1024,
		CPUs:     2,
	})
	return err
}

// bootDebian boots the director's disk and copies the program to where the guide says.
func (s *Site) bootDebian(ctx context.Context) (err error) {
	s.Director, err = s.Lab.Machine("lb1", lab.MachineSpec{
		NICs: []lab.NIC{s.nic(DirectorAddress)}, RootDisk: s.options.DirectorDisk, MemoryMB: 1536, CPUs: 2,
	})
	if err != nil {
		return err
	}
	if err := s.Director.Put(ctx, "/etc/hostname", strings.NewReader("lb1\n"), 0o644); err != nil {
		return err
	}
	program, err := os.Open(s.options.Binary)
	if err != nil {
		return err
	}
	defer program.Close()
	return s.Director.Put(ctx, directorProgram, program, 0o755)
}

func (s *Site) startServers(ctx context.Context) error {
	for i, name := range []string{"pacs-a", "pacs-b"} {
		host, err := s.Lab.Namespace(name, s.nic(fmt.Sprintf("192.0.2.%d", 11+i)))
		if err != nil {
			return err
		}
		server, err := pacs.StartOrthanc(ctx, host)
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, server)
	}
	return nil
}

func (s *Site) placeClients() (err error) {
	for i := range Modalities {
		host, err := s.Lab.Namespace(fmt.Sprintf("ct-%d", i+1), s.nic(fmt.Sprintf("192.0.2.%d", 51+i)))
		if err != nil {
			return err
		}
		s.Modalities = append(s.Modalities, pacs.Modality{
			Host: host, AETitle: fmt.Sprintf("CT%d", i+1), Server: VIP, Port: DICOMPort,
		})
	}
	s.Viewer, err = s.Lab.Namespace("viewer", s.nic(ViewerAddress))
	return err
}

func (s *Site) nic(address string) lab.NIC {
	return lab.NIC{Network: s.LAN, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), 24)}}
}

// Close removes the site.
func (s *Site) Close() error { return s.Lab.Close() }

// Hosts are the hosts that run the product: the director and the servers.
func (s *Site) Hosts() []lab.Host {
	hosts := []lab.Host{s.Director}
	for _, server := range s.Servers {
		hosts = append(hosts, server.Host)
	}
	return hosts
}

// PutManifest writes a manifest on every host of the product.
func (s *Site) PutManifest(ctx context.Context, name, manifest string) error {
	for _, host := range s.Hosts() {
		if err := host.Put(ctx, ManifestDir+"/"+name, strings.NewReader(manifest), os.FileMode(0o600)); err != nil {
			return fmt.Errorf("put %s on %s: %w", name, host.Name(), err)
		}
	}
	return nil
}

// RemoveManifest removes a manifest from every host of the product.
func (s *Site) RemoveManifest(ctx context.Context, name string) error {
	for _, host := range s.Hosts() {
		if _, err := s.MustRun(ctx, host, "rm", "-f", ManifestDir+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

// MustRun runs a command and returns what it printed; an exit status other than 0 is an error.
func (s *Site) MustRun(ctx context.Context, host lab.Host, argv ...string) (string, error) {
	result, err := host.Run(ctx, argv...)
	if err != nil {
		return "", fmt.Errorf("%s on %s: %w", argv[0], host.Name(), err)
	}
	if result.ExitCode != 0 {
		return "", fmt.Errorf("%s on %s: exit status %d\n%s%s", strings.Join(argv, " "), host.Name(),
			result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout, nil
}

// Established returns the clients' addresses and ports of established connections to a port of a
// server, as ss shows them there. Checks, which come from the director, are no clients.
func (s *Site) Established(ctx context.Context, host lab.Host, port int) (map[string]bool, error) {
	out, err := s.MustRun(ctx, host, "ss", "-Htn", "state", "established", "sport", "=", fmt.Sprint(":", port))
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		peer, err := netip.ParseAddrPort(fields[3])
		if err != nil {
			return nil, fmt.Errorf("ss on %s says %q: %w", host.Name(), line, err)
		}
		if from := netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()); from.Addr().String() != DirectorAddress {
			found[from.String()] = true
		}
	}
	return found, nil
}

// Until repeats probe until it returns nil or ctx ends; the last error that is not of ctx's end says
// why not.
func Until(ctx context.Context, what string, probe func() error) error {
	var why error
	for {
		err := probe()
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil {
			why = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: did not come: %w", what, why)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
