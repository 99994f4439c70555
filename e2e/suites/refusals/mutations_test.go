package refusals

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/testutil/mutate"
)

// environment returns a number that a variable sets, else its default.
func environment(t *testing.T, name string, absent uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return absent
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s=%s: write a number", name, text)
	}
	return n
}

// sampled returns the TruePACSBalancers of config/samples.
func sampled(t *testing.T) []badspecs.Block {
	t.Helper()
	files, err := filepath.Glob("../../../config/samples/*.yaml")
	must(t, err)
	var out []badspecs.Block
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, doc := range bytes.Split(text, []byte("\n---\n")) {
			if obj := badspecs.Parse(string(doc)); obj["kind"] == "TruePACSBalancer" {
				out = append(out, obj)
			}
		}
	}
	if len(out) < 3 {
		t.Fatalf("only %d samples in %v", len(out), files)
	}
	return out
}

// mutant is a mutation as a file of the director.
type mutant struct {
	mutate.Mutation
	file, name string
	// taken says that the API server took it.
	taken bool
}

// mutants makes the mutations of some seeds. Each has virtual IPs of its own among batch others,
// so that most of what is wrong with them is not that they have one address.
func mutants(t *testing.T, samples []badspecs.Block, first, count uint64) []mutant {
	t.Helper()
	var out []mutant
	for seed := first; seed < first+count; seed++ {
		m := mutate.Object(samples[seed%uint64(len(samples))], seed)
		m.Object["metadata"] = badspecs.Block{"name": fmt.Sprint("mutant-", seed), "namespace": "default"}
		slot := int(seed-first) % batch
		text := readdressed(string(m.JSON()), "192.0.2.100", slotAddress(slot))
		text = readdressed(text, "192.0.2.101", slotAddress(batch+slot))
		m.Object = badspecs.Parse(text)
		out = append(out, mutant{Mutation: m, name: fmt.Sprint("mutant-", seed), file: fmt.Sprintf("bad-%d.yaml", seed)})
	}
	return out
}

// tally counts what became of mutations.
type tally struct {
	all, taken, programmed, refused int
}

// mutations gives the API server and the director mutations of the samples.
func mutations(t *testing.T, h *host, s server) {
	seed, count := environment(t, "REFUSALS_SEED", 1), environment(t, "REFUSALS_MUTATIONS", 150)
	t.Logf("mutations %d to %d (REFUSALS_SEED, REFUSALS_MUTATIONS)", seed, seed+count-1)
	var sum tally
	for part := range slices.Chunk(mutants(t, sampled(t), seed, count), batch) {
		for i := range part {
			err := s.create(limit(t), part[i].Object)
			if err != nil && !refusal(err) {
				t.Fatalf("seed %d (%s): %v", part[i].Seed, part[i].Description, err)
			}
			part[i].taken = err == nil
			h.put(t, part[i].file, string(part[i].JSON()))
		}
		var last overview
		h.await(t, "verdicts", func(o overview) error { last = o; return each(part, func(m mutant) error { return m.judged(o) }) })
		for _, m := range part {
			sum.count(t, m, last)
		}
		h.unharmed(t, fmt.Sprintf("after seeds %d to %d", part[0].Seed, part[len(part)-1].Seed))
		h.remove(t, "bad-*.yaml")
		h.await(t, "removal", onlyGood)
	}
	t.Logf("%d mutations from seed %d: API server and truepacs run take the same %d and refuse the same %d; of those taken %d are programmed, %d have a refused service",
		sum.all, seed, sum.taken, sum.all-sum.taken, sum.programmed, sum.refused)
	if uint64(sum.all) != count || sum.all == 0 || sum.taken < sum.all/20 || sum.taken > sum.all*19/20 || sum.programmed == 0 || sum.refused == 0 {
		t.Errorf("%+v: the sample proves nothing", sum)
	}
}

// judged returns nil if the director has come to a verdict on a mutation.
func (m mutant) judged(o overview) error {
	if len(o.refusals(m.file)) > 0 {
		return nil
	}
	b := o.find(m.name)
	if b == nil {
		return fmt.Errorf("seed %d (%s) is not shown", m.Seed, m.Description)
	}
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionProgrammed} {
		switch c := meta.FindStatusCondition(b.Status.Conditions, kind); {
		case c == nil || c.Status == metav1.ConditionUnknown:
			return fmt.Errorf("seed %d (%s): %s is %+v", m.Seed, m.Description, kind, c)
		case c.Status == metav1.ConditionFalse:
			return nil
		}
	}
	return nil
}

// fields finds the path of a field in a message.
var fields = regexp.MustCompile(`\b(spec|virtualServices|virtualIPs|serverPools|directors)\b`)

// count checks the director's verdict on a mutation against the API server's, and counts it.
func (s *tally) count(t *testing.T, m mutant, o overview) {
	t.Helper()
	s.all++
	texts := o.refusals(m.file)
	if m.taken != (len(texts) == 0) {
		t.Errorf("seed %d (%s): the API server takes it: %v, truepacs run says %q", m.Seed, m.Description, m.taken, texts)
	}
	for _, text := range texts {
		if !fields.MatchString(text) {
			t.Errorf("seed %d (%s): no field is named: %s", m.Seed, m.Description, text)
		}
	}
	if len(texts) > 0 {
		return
	}
	s.taken++
	if o.programmed(m.name) == nil {
		s.programmed++
		return
	}
	s.refused++
	for _, c := range o.find(m.name).Status.Conditions {
		if c.Status == metav1.ConditionFalse && c.Type == v1alpha1.ConditionAccepted && !fields.MatchString(c.Message) {
			t.Errorf("seed %d (%s): no field is named: %+v", m.Seed, m.Description, c)
		}
		if c.Status != metav1.ConditionTrue && c.Message == "" {
			t.Errorf("seed %d (%s): a condition says nothing: %+v", m.Seed, m.Description, c)
		}
	}
}
