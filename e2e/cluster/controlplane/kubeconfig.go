package controlplane

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/truepacs/balancer/e2e/cluster/pki"
	"github.com/truepacs/balancer/e2e/cluster/process"
)

const (
	adminGroup = "system:masters"
	adminFile  = "admin.kubeconfig"
	context0   = "test"
)

// Subject is who a certificate or kubeconfig speaks for.
type Subject struct {
	User   string
	Groups []string
}

// Admin may do everything.
var admin = Subject{User: "admin", Groups: []string{adminGroup}}

// Kubeconfig is the path of the administrator's kubeconfig. A program that uses it must run in the control
// plane's network namespace.
func (c *ControlPlane) Kubeconfig() string { return c.group.Path(adminFile) }

// Config is the administrator's configuration for Go clients. It dials into the control plane's network
// namespace, so it works from anywhere in this program.
func (c *ControlPlane) Config() (*rest.Config, error) { return c.ConfigFor(admin) }

// ConfigFor is Config for another user, who may do what RBAC grants.
func (c *ControlPlane) ConfigFor(s Subject) (*rest.Config, error) {
	text, err := c.KubeconfigFor(s)
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1 // tests wait for results, not for a client-side limit
	if c.opts.Netns != "" {
		cfg.Dial = process.Dialer(c.opts.Netns)
	}
	return cfg, nil
}

// KubeconfigFor issues a certificate for s and wraps it, with everything inline, in a kubeconfig.
func (c *ControlPlane) KubeconfigFor(s Subject) ([]byte, error) {
	pair, err := c.ca.Issue(pki.Leaf{CommonName: s.User, Groups: s.Groups})
	if err != nil {
		return nil, err
	}
	text, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{context0: {Server: c.URL(), CertificateAuthorityData: c.ca.Cert}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{s.User: {ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}},
		Contexts:       map[string]*clientcmdapi.Context{context0: {Cluster: context0, AuthInfo: s.User}},
		CurrentContext: context0,
	})
	if err != nil {
		return nil, fmt.Errorf("write the kubeconfig of %s: %w", s.User, err)
	}
	return text, nil
}
