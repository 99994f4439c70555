package cmd

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/internal/render"
)

func (a *app) coldStartPod() *cobra.Command {
	var image, settings, namespace string
	c := &cobra.Command{
		Use:   "cold-start-pod --image IMAGE | --settings FILE",
		Short: "Print the static pod that starts a director while the API server is down",
		Long: `Cold-start-pod prints the manifest of a static pod. Put it into the kubelet's folder of static
pods (staticPodPath, usually /etc/kubernetes/manifests) on the nodes that are directors.

With the settings of the installation, from the operator's pod:
  kubectl exec --namespace truepacs-system deployment/truepacs-operator -- \
    /truepacs cold-start-pod --settings /etc/truepacs/settings.yaml > truepacs-cold-start.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := coldStartSettings(image, settings)
			if err != nil {
				return err
			}
			pod, err := render.ColdStartPod(s, namespace)
			if err != nil {
				return err
			}
			text, err := yaml.Marshal(pod)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().StringVar(&image, "image", "", "image of the pod; default: that of the settings")
	c.Flags().StringVar(&settings, "settings", "", "settings file of the installation (settings.yaml of ConfigMap truepacs-settings)")
	c.Flags().StringVar(&namespace, "namespace", orDefault(os.Getenv("POD_NAMESPACE"), "truepacs-system"), "namespace of the installation")
	return c
}

// coldStartSettings are the installation's, or the defaults with an image.
func coldStartSettings(image, settings string) (s render.Settings, err error) {
	if image == "" && settings == "" {
		return s, errors.New("cold-start-pod needs --image IMAGE or --settings FILE")
	}
	s = render.Default()
	if settings != "" {
		if s, err = render.ReadFile(settings); err != nil {
			return s, err
		}
	}
	s.Image = orDefault(image, s.Image)
	return s, s.Validate()
}

func orDefault(said, fallback string) string {
	if said == "" {
		return fallback
	}
	return said
}
