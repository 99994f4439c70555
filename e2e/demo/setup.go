package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
)

func buildSite(ctx context.Context, d *demo) (err error) {
	d.site, err = site.New(ctx, site.Options{Binary: d.binary, Log: d.log})
	if err != nil {
		return err
	}
	d.say("director lb1 %s runs Linux %s in a virtual machine", site.DirectorAddress, d.site.Director.Kernel())
	d.say("pacs-a 192.0.2.11 and pacs-b 192.0.2.12 run Orthanc")
	return nil
}

func becomeReady(ctx context.Context, d *demo) error {
	secret, certificate, err := site.Secret()
	if err != nil {
		return err
	}
	for name, manifest := range map[string]string{"radiology.yaml": site.Balancer, "viewer-tls.yaml": secret} {
		if err := d.site.PutManifest(ctx, name, manifest); err != nil {
			return err
		}
	}
	if err := d.site.Viewer.Put(ctx, caFile, strings.NewReader(certificate), 0o644); err != nil {
		return err
	}
	started := time.Now()
	if err := d.site.StartAgents(ctx); err != nil {
		return err
	}
	d.say("every host runs: truepacs run -f %s --node NAME", site.ManifestDir)
	for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionServersHealthy} {
		if err := d.site.AwaitCondition(ctx, condition, "True"); err != nil {
			return err
		}
	}
	ready := time.Since(started).Round(100 * time.Millisecond)
	out, err := d.site.MustRun(ctx, d.site.Director, "ipvsadm", "-Ln")
	if err != nil {
		return err
	}
	d.say("the director's kernel has:\n%s", indent(out))
	if routes := strings.Count(out, " Route "); routes != len(d.site.Servers) {
		return fmt.Errorf("ipvsadm shows %d servers by direct routing, not %d", routes, len(d.site.Servers))
	}
	d.table.add("time from start to Ready", ready.String(), "ipvsadm, truepacs status")
	return nil
}

func indent(text string) string {
	return "     " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n     ")
}

func uninstall(ctx context.Context, d *demo) error {
	for _, host := range d.site.Hosts() {
		if _, err := d.site.Truepacs(ctx, host, "uninstall"); err != nil {
			return err
		}
	}
	for _, left := range []struct {
		what, unwanted string
		argv           []string
	}{
		{"IPVS services", "FWM", []string{"ipvsadm", "-Ln"}},
		{"nftables tables", "truepacs", []string{"nft", "list", "tables"}},
		{"addresses", site.VIP, []string{"ip", "-4", "address"}},
	} {
		out, err := d.site.MustRun(ctx, d.site.Director, left.argv...)
		if err != nil {
			return err
		}
		if strings.Contains(out, left.unwanted) {
			return fmt.Errorf("%s are left on the director:\n%s", left.what, out)
		}
	}
	for _, server := range d.site.Servers {
		out, err := d.site.MustRun(ctx, server.Host, "ip", "-4", "address")
		if err != nil {
			return err
		}
		if strings.Contains(out, site.VIP) {
			return fmt.Errorf("the virtual IP address is left on %s:\n%s", server.Host.Name(), out)
		}
	}
	d.table.add("left after uninstall", "nothing", "ipvsadm, nft, ip")
	return nil
}
