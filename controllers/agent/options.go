package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/truepacs/balancer/internal/metrics"
	"github.com/truepacs/balancer/internal/translate"
)

// Options say how the agent of a node runs.
type Options struct {
	// Node is the node's name.
	Node string
	// Namespace is the installation's, where the Lease of the agent is.
	Namespace string
	// RunDir, StateDir and SysctlDir are the host's, see wiring.Options.
	RunDir, StateDir, SysctlDir string
	// ChecksDir is the directory of check programs; empty: they are off.
	ChecksDir string
	// MarkRange is FIRST-LAST.
	MarkRange string
	// Version is this program's.
	Version string
	// MetricsAddress is where metrics are served; empty or 0: nowhere.
	MetricsAddress string
	// Config reaches the API server; nil: the pod's service account, or KUBECONFIG.
	Config *rest.Config
	Log    logr.Logger
}

// AddFlags registers the options that a command line may set, with their defaults.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Node, "node", os.Getenv("NODE_NAME"), "name of this node (default: NODE_NAME)")
	fs.StringVar(&o.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the installation (default: POD_NAMESPACE)")
	fs.StringVar(&o.RunDir, "run-dir", "/run/truepacs", "lock, sockets and keys; on tmpfs")
	fs.StringVar(&o.StateDir, "state-dir", "/var/lib/truepacs", "what is remembered over reboots")
	fs.StringVar(&o.SysctlDir, "sysctl-dir", "/proc/sys/net", "where the host's /proc/sys/net can be written")
	fs.StringVar(&o.ChecksDir, "checks-dir", "", "directory with the programs of health checks of type External; empty: they are off")
	metrics.AddFlag(fs, &o.MetricsAddress)
	marks := translate.DefaultMarks()
	fs.StringVar(&o.MarkRange, "mark-range", fmt.Sprintf("%d-%d", marks.Base, marks.Base|(1<<marks.Bits-1)), "firewall marks that are ours, FIRST-LAST")
}

// Validate says what is missing.
func (o *Options) Validate() error {
	var errs []error
	if o.Node == "" {
		errs = append(errs, errors.New("--node is empty: write the name of this node, or set NODE_NAME"))
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: write the namespace of the installation, or set POD_NAMESPACE"))
	}
	_, err := ParseMarks(o.MarkRange)
	return errors.Join(append(errs, err)...)
}

// ParseMarks reads FIRST-LAST as a range of firewall marks: 2^16 to 2^24 marks, the first a
// multiple of their number.
func ParseMarks(text string) (translate.MarkRange, error) {
	first, last, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(first, 0, 32)
	b, errB := strconv.ParseUint(last, 0, 32)
	if errA == nil && errB == nil {
		for bits := 16; bits <= 24; bits++ {
			if size := uint64(1) << bits; b-a+1 == size && a%size == 0 && a > 0 {
				return translate.MarkRange{Base: uint32(a), Bits: bits}, nil
			}
		}
	}
	return translate.MarkRange{}, fmt.Errorf("--mark-range %q cannot be used: write FIRST-LAST with a power of two of marks "+
		"between 65536 and 16777216, FIRST a multiple of their number, for example 0x54000000-0x54ffffff", text)
}
