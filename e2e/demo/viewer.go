package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"

	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
)

const (
	caFile    = "/etc/pacs-ca.pem"
	cookieJar = "/tmp/cookies"
	webRoot   = "/pacs/dicomweb"
	// stickyRequests is how many requests one browser sends to see whether it stays on a server.
	stickyRequests = 20
)

// curl runs curl on the viewer, over HTTPS to the VIP, and returns the body.
func (d *demo) curl(ctx context.Context, path string, args ...string) (string, error) {
	argv := []string{"curl", "-sS", "--fail", "--max-time", "30", "--cacert", caFile,
		"--resolve", fmt.Sprintf("pacs.example.org:%d:%s", site.HTTPSPort, site.VIP)}
	argv = append(append(argv, args...), "https://pacs.example.org"+path)
	return d.site.MustRun(ctx, d.site.Viewer, argv...)
}

func retrieveStudy(ctx context.Context, d *demo) error {
	study, instances, err := d.shareStudy(ctx)
	if err != nil {
		return err
	}
	capture, err := d.site.Director.Capture(ctx, "eth0", fmt.Sprintf("tcp dst port %d", pacs.HTTPPort))
	if err != nil {
		return err
	}
	if err := d.retrieve(ctx, study, instances); err != nil {
		return err
	}
	server, err := d.stick(ctx)
	if err != nil {
		return err
	}
	frames, err := capture.Frames()
	if err != nil {
		return err
	}
	var sent bytes.Buffer
	for _, frame := range frames {
		sent.Write(frame.Payload)
	}
	for _, header := range []string{"X-Forwarded-For: " + site.ViewerAddress, "X-Site: main"} {
		if !strings.Contains(strings.ToLower(sent.String()), strings.ToLower(header)) {
			return fmt.Errorf("no request at the servers has %q", header)
		}
	}
	if strings.Contains(sent.String(), "TPSERVER") {
		return errors.New("the balancer's cookie reached a server")
	}
	d.say("%s/studies/... became /dicom-web/studies/..., port 443 became %d", webRoot, pacs.HTTPPort)
	d.say("the servers learn the viewer's address: X-Forwarded-For: %s", site.ViewerAddress)
	d.table.add("study retrieved over HTTPS", fmt.Sprintf("%d images, equal", len(instances)), "hashes by pydicom")
	d.table.add("requests of one browser on one server", fmt.Sprintf("%d of %d (%s)", stickyRequests, stickyRequests, server), "Orthanc's name")
	d.table.add("X-Forwarded-For at the servers", site.ViewerAddress, "capture at the servers' port")
	return nil
}

// shareStudy picks the study with the most images and gives it to both servers, as the common
// archive behind the servers of a real PACS would.
func (d *demo) shareStudy(ctx context.Context) (string, []pacs.Instance, error) {
	studies := map[string][]pacs.Instance{}
	largest := ""
	for _, instance := range d.images.sent {
		studies[instance.Study] = append(studies[instance.Study], instance)
		if n := len(studies[instance.Study]); n > len(studies[largest]) || n == len(studies[largest]) && instance.Study < largest {
			largest = instance.Study
		}
	}
	for _, instance := range studies[largest] {
		for _, server := range d.site.Servers {
			if err := server.Add(ctx, instance.Path); err != nil {
				return "", nil, err
			}
		}
	}
	return largest, studies[largest], nil
}

// retrieve fetches a study by WADO-RS (PS3.18 section 10.4) and compares it with what was sent.
func (d *demo) retrieve(ctx context.Context, study string, want []pacs.Instance) error {
	const headers = "/tmp/headers"
	body, err := d.curl(ctx, webRoot+"/studies/"+study, "-D", headers, "-c", cookieJar,
		"-H", `Accept: multipart/related; type="application/dicom"; transfer-syntax=*`)
	if err != nil {
		return err
	}
	head, err := d.site.Viewer.Get(ctx, headers)
	if err != nil {
		return err
	}
	got, err := readStudy(ctx, string(head), body)
	if err != nil {
		return err
	}
	hashes := map[string]string{}
	for _, instance := range got {
		hashes[instance.SOP] = instance.Hash
	}
	for _, instance := range want {
		if hashes[instance.SOP] != instance.Hash {
			return fmt.Errorf("image %s was retrieved with %q, sent was %s", instance.SOP, hashes[instance.SOP], instance.Hash)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d images were retrieved, the study has %d", len(got), len(want))
	}
	d.say("study %s: %d images, %d bytes, equal to what was sent", study, len(got), len(body))
	return nil
}

// readStudy takes the parts of a multipart/related answer apart.
func readStudy(ctx context.Context, head, body string) ([]pacs.Instance, error) {
	boundary := ""
	for line := range strings.Lines(head) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Content-Type") {
			if _, parameters, err := mime.ParseMediaType(strings.TrimSpace(value)); err == nil {
				boundary = parameters["boundary"]
			}
		}
	}
	folder, err := os.MkdirTemp("", "study")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	reader := multipart.NewReader(strings.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("answer is not multipart: %w\n%s", err, head)
		}
		content, err := io.ReadAll(part)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, fmt.Sprint(n)), content, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return pacs.Instances(ctx, folder)
}

// stick sends requests with the cookie that the first answer set; all must reach one server.
func (d *demo) stick(ctx context.Context) (string, error) {
	names := map[string]int{}
	for range stickyRequests {
		name, err := d.serverName(ctx, "-b", cookieJar)
		if err != nil {
			return "", err
		}
		names[name]++
	}
	without := map[string]int{}
	for range stickyRequests {
		name, err := d.serverName(ctx)
		if err != nil {
			return "", err
		}
		without[name]++
	}
	d.say("%d requests with the cookie: %v; without: %v", stickyRequests, names, without)
	if len(names) != 1 {
		return "", fmt.Errorf("a browser with its cookie reached several servers: %v", names)
	}
	if len(without) != len(d.site.Servers) {
		return "", fmt.Errorf("requests without cookie reached %d server only: %v", len(without), without)
	}
	for name := range names {
		return name, nil
	}
	return "", errors.New("no request was sent")
}

// serverName asks through the VIP which server answers: Orthanc tells its name.
func (d *demo) serverName(ctx context.Context, args ...string) (string, error) {
	body, err := d.curl(ctx, "/system", args...)
	if err != nil {
		return "", err
	}
	for _, server := range d.site.Servers {
		if strings.Contains(body, `"`+server.Host.Name()+`"`) {
			return server.Host.Name(), nil
		}
	}
	return "", fmt.Errorf("no server's name in %q", body)
}
