package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
	"golang.org/x/sync/errgroup"
)

// images is what was sent and what the captures saw meanwhile.
type images struct {
	corpus     []pacs.Instance
	sent       []pacs.Instance
	atServers  []*lab.Capture
	atDirector *lab.Capture
}

const leastImages = 60

func storeImages(ctx context.Context, d *demo) error {
	corpus, err := pacs.Corpus(ctx)
	if err != nil {
		return err
	}
	d.images = &images{corpus: corpus}
	if err := d.images.record(ctx, d.site); err != nil {
		return err
	}
	if err := d.images.store(ctx, d.site.Modalities); err != nil {
		return err
	}
	shares, err := d.images.compare(ctx, d.site)
	if err != nil {
		return err
	}
	d.say("%d images of %d modalities, every storescu ended with exit status 0", len(corpus), len(d.site.Modalities))
	d.say("in the servers' own databases: %s", shares)
	d.table.add("images stored by direct routing", fmt.Sprint(len(corpus)), "storescu's exit status")
	d.table.add("images on each server", shares, "Orthanc's database")
	d.table.add("images that differ from what was sent", "0", "hashes by pydicom")
	return nil
}

// record starts the captures on the wire: at the servers and at the director.
func (i *images) record(ctx context.Context, s *site.Site) error {
	filter := fmt.Sprintf("tcp port %d", site.DICOMPort)
	for _, server := range s.Servers {
		capture, err := server.Host.Capture(ctx, "eth0", filter+" and host "+site.VIP)
		if err != nil {
			return err
		}
		i.atServers = append(i.atServers, capture)
	}
	var err error
	// The director itself knocks at servers and is answered: no replies to modalities.
	i.atDirector, err = s.Director.Capture(ctx, "eth0", filter+" and not dst host "+site.DirectorAddress)
	return err
}

// store shares the corpus out among the modalities, which send at the same time.
func (i *images) store(ctx context.Context, modalities []pacs.Modality) error {
	if len(i.corpus) < leastImages {
		return fmt.Errorf("python3-pydicom has only %d images, at least %d are needed", len(i.corpus), leastImages)
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for m, modality := range modalities {
		group.Go(func() error {
			for n := m; n < len(i.corpus); n += len(modalities) {
				code, output, err := modality.Store(ctx, i.corpus[n])
				if err == nil && code != 0 {
					err = fmt.Errorf("storescu on %s ended with exit status %d:\n%s", modality.Host.Name(), code, output)
				}
				if err != nil {
					return err
				}
				mu.Lock()
				i.sent = append(i.sent, i.corpus[n])
				mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait()
}

// compare holds the union of what the servers have against what was sent, and each server's
// part against a quarter.
func (i *images) compare(ctx context.Context, s *site.Site) (string, error) {
	missing := map[string]string{}
	for _, instance := range i.sent {
		missing[instance.SOP] = instance.Hash
	}
	var shares []string
	for _, server := range s.Servers {
		stored, err := server.Stored(ctx)
		if err != nil {
			return "", err
		}
		for _, instance := range stored {
			if hash, ok := missing[instance.SOP]; !ok || hash != instance.Hash {
				return "", fmt.Errorf("%s has %s with %s, sent was %q", server.Host.Name(), instance.SOP, instance.Hash, hash)
			}
			delete(missing, instance.SOP)
		}
		if 4*len(stored) < len(i.sent) {
			return "", fmt.Errorf("%s got %d of %d images, less than a quarter", server.Host.Name(), len(stored), len(i.sent))
		}
		shares = append(shares, fmt.Sprintf("%s %d", server.Host.Name(), len(stored)))
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%d acknowledged images are on no server", len(missing))
	}
	return strings.Join(shares, ", "), nil
}

func checkCaptures(_ context.Context, d *demo) error {
	clients, frames, err := d.images.clientsAtServers()
	if err != nil {
		return err
	}
	if len(clients) < len(d.site.Modalities) {
		return fmt.Errorf("the servers saw %d client addresses, not %d: %v", len(clients), len(d.site.Modalities), clients)
	}
	requests, replies, err := d.images.atTheDirector()
	if err != nil {
		return err
	}
	if requests == 0 {
		return errors.New("no frame from a modality reached the director, the sample is empty")
	}
	if replies != 0 {
		return fmt.Errorf("%d frames from the virtual IP address went through the director", replies)
	}
	d.say("the servers saw the modalities' own addresses in %d frames", frames)
	d.say("at the director: %d frames from modalities, none from a server back to them", requests)
	d.table.add("client addresses seen by the servers", fmt.Sprint(len(clients)), "capture at the servers")
	d.table.add("reply frames through the director", fmt.Sprintf("0 of %d", requests), "capture at the director")
	return nil
}

// clientsAtServers returns the source addresses of frames to the VIP at the servers.
func (i *images) clientsAtServers() (map[string]bool, int, error) {
	clients, count := map[string]bool{}, 0
	for _, capture := range i.atServers {
		frames, err := capture.Frames()
		if err != nil {
			return nil, 0, err
		}
		for _, frame := range frames {
			if frame.Destination.String() == site.VIP {
				clients[frame.Source.String()] = true
				count++
			}
		}
	}
	return clients, count, nil
}

// atTheDirector counts frames from clients to the VIP, and from the VIP's port to anyone.
func (i *images) atTheDirector() (requests, replies int, err error) {
	frames, err := i.atDirector.Frames()
	if err != nil {
		return 0, 0, err
	}
	for _, frame := range frames {
		switch {
		case frame.Destination.String() == site.VIP:
			requests++
		case frame.Source.String() == site.VIP:
			replies++
		}
	}
	return requests, replies, nil
}
