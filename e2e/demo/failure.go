package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// afterDetection is how many stores and how many GETs must succeed once the failure is known.
const afterDetection = 20

func loseServer(ctx context.Context, d *demo) error {
	victim := d.site.Servers[0]
	name := victim.Host.Name()
	if err := victim.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	d.say("%s is killed; the modalities go on", name)
	sent, failed, err := d.storeUntilDetected(ctx, name)
	if err != nil {
		return err
	}
	detected := time.Since(killed).Round(100 * time.Millisecond)
	d.say("detected after %s; of %d stores before that %d failed", detected, sent, failed)
	d.table.add("time to detect a dead server", detected.String(), "truepacs status")
	d.table.add("stores that failed before detection", fmt.Sprintf("%d of %d", failed, sent), "storescu's exit status")
	if err := d.storeSome(ctx); err != nil {
		return err
	}
	for n := range afterDetection {
		if _, err := d.serverName(ctx); err != nil {
			return fmt.Errorf("GET %d of %d after detection: %w", n+1, afterDetection, err)
		}
	}
	d.say("the next %d stores and %d GETs all succeeded", afterDetection, afterDetection)
	d.table.add("stores and GETs after detection", fmt.Sprintf("%d and %d, none failed", afterDetection, afterDetection), "storescu, curl")
	return nil
}

// storeUntilDetected stores until both the DICOM and the web pool show the server as down.
func (d *demo) storeUntilDetected(ctx context.Context, name string) (sent, failed int, err error) {
	for ctx.Err() == nil {
		down, err := d.downEverywhere(ctx, name)
		if err != nil || down {
			return sent, failed, err
		}
		modality := d.site.Modalities[sent%len(d.site.Modalities)]
		code, _, err := modality.Store(ctx, d.images.corpus[sent%len(d.images.corpus)])
		if err != nil {
			return sent, failed, err
		}
		sent++
		if code != 0 {
			failed++
		}
	}
	return sent, failed, errors.New("status does not name the dead server")
}

// downEverywhere tells whether status names the server as unhealthy in every service, with a
// reason.
func (d *demo) downEverywhere(ctx context.Context, name string) (bool, error) {
	balancer, err := d.site.Status(ctx)
	if err != nil {
		return false, err
	}
	states := statesOf(balancer, name)
	for _, state := range states {
		if state.Health != v1alpha1.HealthUnhealthy {
			return false, nil
		}
		if state.Reason == "" || state.Message == "" {
			return false, fmt.Errorf("status says that %s is down but not why", name)
		}
	}
	for _, state := range states {
		d.say("status: %s in pool %s is %s, %s: %s", name, state.ServerPool, state.Health, state.Reason, state.Message)
	}
	return len(states) > 0, nil
}

func statesOf(balancer *v1alpha1.TruePACSBalancer, server string) []v1alpha1.ServerState {
	var states []v1alpha1.ServerState
	for _, service := range balancer.Status.VirtualServices {
		for _, state := range service.ServerStates {
			if state.Name == server {
				states = append(states, state)
			}
		}
	}
	return states
}

func (d *demo) storeSome(ctx context.Context) error {
	for n := range afterDetection {
		modality := d.site.Modalities[n%len(d.site.Modalities)]
		code, output, err := modality.Store(ctx, d.images.corpus[n])
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("store %d of %d on %s failed:\n%s", n+1, afterDetection, modality.Host.Name(), output)
		}
	}
	return nil
}

func regainServer(ctx context.Context, d *demo) error {
	victim := d.site.Servers[0]
	if err := victim.Start(ctx); err != nil {
		return err
	}
	back := time.Now()
	if err := d.site.AwaitCondition(ctx, v1alpha1.ConditionServersHealthy, "True"); err != nil {
		return err
	}
	after := time.Since(back).Round(100 * time.Millisecond)
	capture, err := victim.Host.Capture(ctx, "eth0", "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and dst host 192.0.2.100")
	if err != nil {
		return err
	}
	if err := d.storeSome(ctx); err != nil {
		return err
	}
	frames, err := capture.Frames()
	if err != nil {
		return err
	}
	if len(frames) == 0 {
		return fmt.Errorf("%s gets no connection after it came back", victim.Host.Name())
	}
	d.say("healthy after %s; it got %d of the next %d associations", after, len(frames), afterDetection)
	d.table.add("associations on the server that came back", fmt.Sprintf("%d of %d", len(frames), afterDetection), "capture at the server")
	return nil
}
