package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/internal/cmd/serverspec"
	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/schema"
)

// serverFlags say what a real server is to be prepared for.
type serverFlags struct {
	vips, ports, interfaces []string
	method, dir, server     string
	runDir, namespace       string
	mtu                     int
}

func (f *serverFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.vips, "vip", nil, "virtual IP address; may be repeated. Absent: those of the balancers")
	flags.StringSliceVar(&f.ports, "port", nil, "port of the virtual addresses: 104, 2000-2010 or 514/udp; may be repeated")
	flags.StringVar(&f.method, "method", "", "loopback, redirect (Linux, where no address may be added) or tunnel (mode L4Tunnel); absent: what the services need")
	flags.StringSliceVar(&f.interfaces, "interface", nil, "interface that must not answer ARP for the addresses; absent: all network cards")
	flags.IntVar(&f.mtu, "mtu", 0, "largest packet between director and server in bytes; absent: 1500")
	flags.StringVarP(&f.dir, "filename", "f", "", "folder with manifests, or one file; absent: what truepacs run on this host, or the cluster, has")
	flags.StringVar(&f.runDir, "run-dir", defaultRunDir, "run-dir of truepacs run")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "only balancers of this namespace (in a cluster)")
}

// spec returns what is asked for, and the addresses that the chosen servers have in pools.
func (f *serverFlags) spec(ctx context.Context, chosen serverspec.Server) (setup.Spec, []netip.Addr, error) {
	method, err := serverspec.ParseMethod(f.method)
	if err != nil {
		return setup.Spec{}, nil, err
	}
	var spec setup.Spec
	var addresses []netip.Addr
	switch {
	case len(f.vips) > 0 && len(f.ports) == 0, len(f.vips) == 0 && len(f.ports) > 0:
		err = errors.New("--vip and --port belong together: write for example --vip 192.0.2.100 --port 104,11112")
	case len(f.vips) > 0:
		spec, err = serverspec.Written(f.vips, f.ports)
	default:
		spec, addresses, err = f.ofBalancers(ctx, chosen)
	}
	if err != nil {
		return setup.Spec{}, nil, err
	}
	if method != "" {
		spec.Method = method
	}
	spec.Interfaces, spec.MTU = f.interfaces, f.mtu
	return spec, addresses, nil
}

func (f *serverFlags) ofBalancers(ctx context.Context, chosen serverspec.Server) (setup.Spec, []netip.Addr, error) {
	balancers, err := f.balancers(ctx)
	if err != nil {
		return setup.Spec{}, nil, fmt.Errorf("%w\nor name the manifests (-f FOLDER), or say yourself what the server is for: --vip 192.0.2.100 --port 104,11112", err)
	}
	spec, addresses, err := serverspec.Of(balancers, chosen)
	if err != nil && f.server != "" {
		err = fmt.Errorf("server %s: %w; --server takes a name or address as spec.serverPools has it", f.server, err)
	}
	return spec, addresses, err
}

func (f *serverFlags) balancers(ctx context.Context) ([]v1alpha1.TruePACSBalancer, error) {
	if f.dir != "" {
		return readBalancers(f.dir)
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	overview, err := askStatus(ctx, f.runDir, f.namespace)
	if err != nil {
		return nil, err
	}
	return overview.Items, nil
}

// readBalancers reads manifests; one that is wrong is an error, for the script would lack its part.
func readBalancers(dir string) ([]v1alpha1.TruePACSBalancer, error) {
	validator, err := schema.New()
	if err != nil {
		return nil, err
	}
	set, problems := manifest.NewReader(validator).ReadPath(dir)
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	if len(texts) > 0 {
		return nil, errors.New(strings.Join(texts, "\n"))
	}
	var balancers []v1alpha1.TruePACSBalancer
	for _, b := range set.Balancers {
		balancers = append(balancers, *b)
	}
	return balancers, nil
}

// ownAddresses are the addresses of this host, virtual ones too.
func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read the addresses of this host: %w", err)
	}
	var own []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own, nil
}
