package checks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// balancer has direct routing alone, and checks with nothing but what must be written.
const balancer = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: ` + site.VIP + `}]
  serverPools:
  - name: archive
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
    healthChecks: [{type: DICOMEcho, dicomEcho: {calledAETitle: ` + pacs.AETitle + `}}]
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4DR, ports: [11112], serverPool: archive, layer4: {scheduler: RoundRobin}}
`

// world is a site on which the product works.
type world struct {
	*site.Site
	ctx    context.Context
	folder string
	made   int // objects made so far
}

func newWorld(t *testing.T) *world {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	s, err := site.New(t.Context(), site.Options{Binary: program, Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() { suite.Must(t, s.Close()) })
	w := &world{Site: s, ctx: t.Context(), folder: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("director printed:\n%s", w.Output(w.Director))
		}
	})
	suite.Must(t, w.PutManifest(t.Context(), "radiology.yaml", balancer))
	suite.Must(t, w.StartAgents(t.Context()))
	w.awaitHealthy(t)
	return w
}

// awaitHealthy waits until both servers get associations again.
func (w *world) awaitHealthy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionReady, "True"))
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionServersHealthy, "True"))
	suite.Must(t, site.Until(ctx, "both servers have weight", func() error {
		out, err := w.MustRun(ctx, w.Director, "ipvsadm", "-Sn")
		if err == nil && (strings.Count(out, " -r ") != 2 || strings.Contains(out, "-w 0")) {
			err = errors.New(out)
		}
		return err
	}))
}

// reason is what status says of a server that is out; empty: nothing.
func (w *world) reason(t *testing.T, server string) string {
	t.Helper()
	b, err := w.Status(t.Context())
	suite.Must(t, err)
	for _, service := range b.Status.VirtualServices {
		for _, s := range service.ServerStates {
			if s.Name == server && string(s.Health) != "Healthy" {
				return s.Reason
			}
		}
	}
	return ""
}

// objects makes copies of one image, each an object of its own.
func (w *world) objects(t *testing.T, n int) []pacs.Instance {
	t.Helper()
	corpus, err := pacs.Corpus(t.Context())
	suite.Must(t, err)
	i := slices.IndexFunc(corpus, func(i pacs.Instance) bool {
		return i.TransferSyntax == "1.2.840.10008.1.2.1" && i.Bytes > 10<<10 && i.Bytes < 200<<10
	})
	if i < 0 {
		t.Fatal("pydicom's images hold none of 10 to 200 KiB in explicit little endian")
	}
	var paths []string
	for range n {
		w.made++
		paths = append(paths, filepath.Join(w.folder, fmt.Sprintf("%04d.dcm", w.made)))
		suite.Must(t, exec.Command("cp", corpus[i].Path, paths[len(paths)-1]).Run())
	}
	out, err := exec.Command("dcmodify", append([]string{"--no-backup", "--gen-inst-uid"}, paths...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dcmodify (package dcmtk): %v\n%s", err, out)
	}
	list, err := pacs.Instances(t.Context(), paths...)
	suite.Must(t, err)
	if len(list) != n {
		t.Fatalf("%d objects made, want %d", len(list), n)
	}
	return list
}

// stores is a modality's day: one association a second.
type stores struct {
	stop chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	list []store
}

// patience of storescu, in seconds: for a connection, and for an answer.
const patience = 4

// startStores sends one object a second, each by the next modality, until finish.
func (w *world) startStores(t *testing.T) *stores {
	t.Helper()
	objects := w.objects(t, int((before+period+after)/time.Second)+5)
	s := &stores{stop: make(chan struct{})}
	s.wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for i, object := range objects {
			s.wg.Go(func() { s.add(w.store(w.Modalities[i%len(w.Modalities)], object)) })
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	})
	return s
}

func (s *stores) add(one store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, one)
}

// finish waits for the associations under way and returns all, in the order in which they began.
func (s *stores) finish() []store {
	close(s.stop)
	s.wg.Wait()
	slices.SortFunc(s.list, func(a, b store) int { return a.began.Compare(b.began) })
	return s.list
}

func (w *world) store(m pacs.Modality, object pacs.Instance) store {
	wait := strconv.Itoa(patience)
	s := store{sop: object.SOP, began: time.Now()}
	result, err := m.Host.Run(w.ctx, "storescu", "-to", wait, "-ta", wait, "-td", wait, "-xe",
		"-aet", m.AETitle, "-aec", pacs.AETitle, m.Server, strconv.Itoa(m.Port), object.Path)
	s.took, s.code, s.said = time.Since(s.began), result.ExitCode, result.Stdout+result.Stderr
	if err != nil {
		s.code, s.said = -1, err.Error()
	}
	return s
}

// compare looks into the servers' databases: every object that was acknowledged is there; it
// returns how many.
func (w *world) compare(t *testing.T, list []store) (acknowledged int) {
	t.Helper()
	have := map[string]bool{}
	for _, server := range w.Servers {
		all, err := server.Stored(t.Context())
		suite.Must(t, err)
		for _, object := range all {
			have[object.SOP] = true
		}
	}
	for _, s := range list {
		if !s.failed() {
			acknowledged++
			if !have[s.sop] {
				t.Errorf("%s was acknowledged and is in no database", s.sop)
			}
		} else {
			t.Logf("failed after %v with status %d: %s", s.took.Round(10*time.Millisecond), s.code, firstLine(s.said))
		}
	}
	return acknowledged
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
