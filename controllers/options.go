package controllers

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/balancer"
	"github.com/truepacs/balancer/internal/render"
)

// Name is the operator's name: reporting controller of its events and name of its leader Lease.
const Name = "truepacs-operator"

// DefaultNamespace is where an installation lives unless told otherwise.
const DefaultNamespace = "truepacs-system"

// DefaultSettingsPath is where the chart mounts the settings file.
const DefaultSettingsPath = "/etc/truepacs/settings.yaml"

// Options say how the operator runs.
type Options struct {
	// Namespace is where the operator, its settings, the DaemonSets and the agents' Leases are.
	Namespace string
	// SettingsPath is the settings file.
	SettingsPath string
	// LeaderElection lets one of several replicas act, by the Lease truepacs-operator.
	LeaderElection bool
	// MetricsAddr is where metrics are served over HTTPS to clients that may get the path
	// /metrics; empty or 0: nowhere.
	MetricsAddr string
	// HealthAddr is where /healthz and /readyz are served; empty or 0: nowhere.
	HealthAddr string
	// Version is the operator's version, for labels.
	Version string
	// Config reaches the API server; nil: the pod's service account, or KUBECONFIG.
	Config *rest.Config
	// Log receives everything; the zero value discards.
	Log logr.Logger
	// Validator knows the rules that join several balancers; nil: the directors' verdict counts
	// alone.
	Validator balancer.Validator
	// SkipNameCheck lets several operators run in one process, for tests.
	SkipNameCheck bool
}

// AddFlags registers the options that a command line may set, with their defaults.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	namespace := DefaultNamespace
	if fromPod := os.Getenv("POD_NAMESPACE"); fromPod != "" {
		namespace = fromPod
	}
	fs.StringVar(&o.Namespace, "namespace", namespace, "namespace of the installation (default: POD_NAMESPACE, else "+DefaultNamespace+")")
	fs.StringVar(&o.SettingsPath, "settings", DefaultSettingsPath, "settings file, from ConfigMap "+render.SettingsName)
	fs.BoolVar(&o.LeaderElection, "leader-elect", false, "let one of several replicas act")
	fs.StringVar(&o.MetricsAddr, "metrics-bind-address", "0", "where to serve metrics over HTTPS, for example :8443; 0: nowhere")
	fs.StringVar(&o.HealthAddr, "health-probe-bind-address", ":8081", "where to serve /healthz and /readyz; 0: nowhere")
}

// Validate says what is missing.
func (o Options) Validate() error {
	var errs []error
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: write the namespace of the installation, for example "+DefaultNamespace))
	}
	if o.SettingsPath == "" {
		errs = append(errs, errors.New("--settings is empty: write the path of the settings file, for example "+DefaultSettingsPath))
	}
	return errors.Join(errs...)
}

// Scheme knows every type the operator reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	return scheme, nil
}

func (o Options) config() (*rest.Config, error) {
	if o.Config != nil {
		return o.Config, nil
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: run in a pod with a service account, or set KUBECONFIG: %w", err)
	}
	return cfg, nil
}

func (o Options) manager() (ctrl.Options, error) {
	scheme, err := Scheme()
	if err != nil {
		return ctrl.Options{}, err
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	return ctrl.Options{
		Scheme:                        scheme,
		Logger:                        o.Log,
		Cache:                         o.cache(),
		Client:                        client.Options{FieldValidation: "Strict", Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              Name,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		HealthProbeBindAddress:        orOff(o.HealthAddr),
		Metrics:                       o.metrics(),
		GracefulShutdownTimeout:       ptr.To(10 * time.Second),
		Controller:                    config.Controller{SkipNameValidation: &o.SkipNameCheck, Logger: o.Log},
	}, nil
}

// cache holds of namespaced kinds that are not ours only what lies in the operator's namespace.
func (o Options) cache() cache.Options {
	own := map[string]cache.Config{o.Namespace: {}}
	mark := map[string]cache.Config{o.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", render.ReleaseName)}}
	return cache.Options{
		DefaultTransform: Trim,
		ByObject: map[client.Object]cache.ByObject{
			&coordinationv1.Lease{}: {Namespaces: own},
			&appsv1.DaemonSet{}:     {Namespaces: own},
			&corev1.ConfigMap{}:     {Namespaces: mark},
		},
	}
}

func (o Options) metrics() metricsserver.Options {
	return metricsserver.Options{
		BindAddress:    orOff(o.MetricsAddr),
		SecureServing:  true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
	}
}

func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}
