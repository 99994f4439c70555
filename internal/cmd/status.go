package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/host"
	"github.com/truepacs/balancer/internal/statustext"
)

// statusTimeout bounds the question, so that a dead API server is an answer too.
const statusTimeout = 10 * time.Second

func (a *app) status() *cobra.Command {
	var runDir, output, namespace string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the balancers are, the cause of what is wrong and the next step",
		Long:  `Status asks the truepacs run of this host; where none runs, the cluster of KUBECONFIG.`,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), statusTimeout)
			defer cancel()
			overview, err := askStatus(ctx, runDir, namespace)
			if err != nil {
				return err
			}
			return printStatus(c.OutOrStdout(), overview, output)
		},
	}
	c.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "run-dir of truepacs run")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "only balancers of this namespace (in a cluster)")
	return c
}

func askStatus(ctx context.Context, runDir, namespace string) (*host.Overview, error) {
	overview, err := host.AskStatus(ctx, runDir)
	if err == nil || !errors.Is(err, host.ErrNotRunning) {
		return overview, err
	}
	if os.Getenv("KUBECONFIG") == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil, err
	}
	return clusterStatus(ctx, namespace)
}

// clusterClient reaches the cluster of KUBECONFIG or of the pod.
func clusterClient() (client.Client, error) {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	api, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return api, nil
}

func clusterStatus(ctx context.Context, namespace string) (*host.Overview, error) {
	api, err := clusterClient()
	if err != nil {
		return nil, err
	}
	var list v1alpha1.TruePACSBalancerList
	if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list balancers: %w", err)
	}
	return &host.Overview{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TruePACSBalancerList"},
		Items:    list.Items,
	}, nil
}

func printStatus(w io.Writer, overview *host.Overview, output string) error {
	switch output {
	case "text":
		return statustext.Write(w, overview.Items, overview.Problems)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(overview)
	}
	return fmt.Errorf("--output %q is unknown: write text or json", output)
}
