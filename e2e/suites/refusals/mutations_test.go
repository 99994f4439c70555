package refusals

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/testutil/mutate"
)

// sampled returns the TruePACSBalancers of config/samples.
func sampled(t *testing.T) []badspecs.Block {
	t.Helper()
	files, err := filepath.Glob("../../../config/samples/*.yaml")
	suite.Must(t, err)
	var out []badspecs.Block
	for _, file := range files {
		text, err := os.ReadFile(file)
		suite.Must(t, err)
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
	// number of the mutation in its plan.
	number     uint64
	file, name string
	// taken says that the API server took it.
	taken bool
}

func (m mutant) String() string { return fmt.Sprintf("mutation %d (%s)", m.number, m.Description) }

// mutationSeed is what a mutation is made from: plans of different seeds share none. The first
// plan's mutations have their numbers as seeds.
func mutationSeed(seed, number uint64) uint64 { return (seed-1)<<32 + number }

// mutants makes mutations of a plan. Each has virtual IPs of its own among batch others, so that
// most of what is wrong with them is not that they have one address.
func mutants(samples []badspecs.Block, planSeed, first, last uint64) []mutant {
	var out []mutant
	for number := first; number <= last; number++ {
		seed := mutationSeed(planSeed, number)
		m := mutate.Object(samples[seed%uint64(len(samples))], seed)
		m.Object["metadata"] = badspecs.Block{"name": fmt.Sprint("mutant-", number), "namespace": "default"}
		slot := int((number - 1) % batch)
		text := readdressed(string(m.JSON()), "192.0.2.100", slotAddress(slot))
		text = readdressed(text, "192.0.2.101", slotAddress(batch+slot))
		m.Object = badspecs.Parse(text)
		out = append(out, mutant{Mutation: m, number: number, name: fmt.Sprint("mutant-", number), file: fmt.Sprintf("bad-%d.yaml", number)})
	}
	return out
}

// tally counts what became of mutations.
type tally struct {
	all, taken, programmed, elsewhere, refused int
}

// mutations gives the API server and the director mutations of the samples, batch by batch.
func mutations(t *testing.T, h *host, s server, p suite.Plan) {
	var sum tally
	samples := sampled(t)
	for first := p.From; first <= p.Last(); first += batch {
		last := min(first+batch-1, p.Last())
		sum.judge(t, h, s, mutants(samples, p.Seed, first, last))
		h.unharmed(t, fmt.Sprintf("after mutations %d to %d", first, last))
		h.remove(t, "bad-*.yaml")
		h.await(t, "removal", onlyGood)
		t.Logf("mutations %d to %d of %d, seed %d: judged", first, last, p.Last(), p.Seed)
	}
	if uint64(sum.all) != p.Count || sum.all == 0 || sum.taken < sum.all/20 || sum.taken > sum.all*19/20 || sum.programmed == 0 || sum.refused == 0 {
		t.Errorf("%+v: the sample proves nothing", sum)
	}
	suite.Verdict(t, "%d mutations, %s: API server and truepacs run take the same %d and refuse the same %d; of those taken %d are programmed, %d name another director, %d have a refused service",
		sum.all, p, sum.taken, sum.all-sum.taken, sum.programmed, sum.elsewhere, sum.refused)
}

// judge gives both a batch, waits for the director's verdicts and counts them.
func (s *tally) judge(t *testing.T, h *host, api server, part []mutant) {
	t.Helper()
	for i := range part {
		err := api.create(limit(t), part[i].Object)
		if err != nil && !refusal(err) {
			t.Fatalf("%s: %v", part[i], err)
		}
		part[i].taken = err == nil
		h.put(t, part[i].file, string(part[i].JSON()))
	}
	var last overview
	h.await(t, "verdicts", func(o overview) error { last = o; return each(part, func(m mutant) error { return m.judged(o) }) })
	for _, m := range part {
		s.count(t, m, last)
	}
}

// judged returns nil if the director has come to a verdict on a mutation.
func (m mutant) judged(o overview) error {
	if len(o.refusals(m.file)) > 0 {
		return nil
	}
	b := o.find(m.name)
	if b == nil {
		return fmt.Errorf("%s is not shown", m)
	}
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionProgrammed} {
		switch c := meta.FindStatusCondition(b.Status.Conditions, kind); {
		case c != nil && c.Reason == v1alpha1.ReasonDirectorElsewhere:
			return nil
		case c == nil || c.Status == metav1.ConditionUnknown:
			return fmt.Errorf("%s: %s is %+v", m, kind, c)
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
		t.Errorf("%s: the API server takes it: %v, truepacs run says %q", m, m.taken, texts)
	}
	for _, text := range texts {
		if !fields.MatchString(text) {
			t.Errorf("%s: no field is named: %s", m, text)
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
	status := o.find(m.name).Status
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgrammed); c.Reason == v1alpha1.ReasonDirectorElsewhere {
		s.elsewhere++
	} else {
		s.refused++
	}
	for _, c := range status.Conditions {
		if c.Status == metav1.ConditionFalse && c.Type == v1alpha1.ConditionAccepted && !fields.MatchString(c.Message) {
			t.Errorf("%s: no field is named: %+v", m, c)
		}
		if c.Status != metav1.ConditionTrue && c.Message == "" {
			t.Errorf("%s: a condition says nothing: %+v", m, c)
		}
	}
}
