package cluster

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestKubeletArguments(t *testing.T) {
	got := kubeletArguments("n1", netip.MustParseAddr("192.0.2.241"), map[string]string{"b": "2", "a/x": "1"})
	if want := "--hostname-override=n1 --node-ip=192.0.2.241 --node-labels=a/x=1,b=2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKubeletConfigurationIsYAML(t *testing.T) {
	var config struct {
		StaticPodPath string
		FeatureGates  map[string]bool
	}
	if err := yaml.Unmarshal([]byte(kubeletConfiguration(map[string]bool{"B": false, "A": true})), &config); err != nil {
		t.Fatal(err)
	}
	if config.StaticPodPath != StaticPodDir || !config.FeatureGates["A"] || len(config.FeatureGates) != 2 {
		t.Errorf("got %+v", config)
	}
}

func TestEachWorkerHasItsPodSubnet(t *testing.T) {
	for index, want := range []string{"10.244.0.0/24", "10.244.1.0/24"} {
		var config struct {
			Plugins []struct {
				IPAM struct{ Ranges [][]struct{ Subnet string } }
			}
		}
		if err := json.Unmarshal([]byte(cniConfiguration(index)), &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Plugins[0].IPAM.Ranges[0][0].Subnet; got != want {
			t.Errorf("worker %d: %s, want %s", index, got, want)
		}
	}
	routes := podRoutes(0, 2)
	if !strings.Contains(routes, "10.244.1.0/24 via 192.0.2.242") || strings.Contains(routes, "10.244.0.0/24") {
		t.Errorf("routes of the first of two workers:\n%s", routes)
	}
}

// TestServiceRulesAreValid lets nft itself check them, without loading them.
func TestServiceRulesAreValid(t *testing.T) {
	cmd := exec.Command("nft", "--check", "-f", "-")
	cmd.Stdin = strings.NewReader(serviceRules(netip.MustParseAddr("192.0.2.240"), 6443))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("nft: %v\n%s", err, out)
	}
}

func TestOptions(t *testing.T) {
	tests := map[string]struct {
		workers int
		ok      bool
	}{"default": {0, true}, "most": {10, true}, "too many": {11, false}, "negative": {-1, false}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := (Options{Workers: tc.workers}).withDefaults(); (err == nil) != tc.ok {
				t.Errorf("error %v, want ok=%v", err, tc.ok)
			}
		})
	}
}
