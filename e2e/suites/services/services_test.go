package services

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "SERVICES", Unit: "ROUNDS", Seed: 17, Count: 1} }

// TestMain lets all stories run at a time however few processors there are: they wait, for checks,
// hold-downs and steps, and each has services and servers' checks of its own.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	plan().Run(m)
}

// stories by what they show.
var stories = map[string]func(*scene){
	"fallback servers serve while all others are down, in a mode of their own": fallback,
	"weighted failover goes in order, comes back after the hold-down":          failover,
	"a persistence group keeps a client on one server across two services":     group,
	"a server that has its most connections gets no new ones":                  thresholds,
	"a server that comes back gets its weight in steps":                        slowStart,
	"all servers down, UseAllServers: all go on":                               useAll,
	"all servers down, Refuse: clients are refused":                            refuse,
	"a program of the administrator decides":                                   external,
	"an agent on the server decides":                                           agent,
	"a check through the virtual IP sees a server without it":                  via,
	"the largest idle timeouts of two balancers are in force":                  timeouts,
	"drain and maintenance by edit, on a range of TCP and UDP ports":           states,
}

// TestServices plays every story on one site. Each round begins and ends with all servers well.
func TestServices(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(n uint64) {
		t.Run(fmt.Sprintf("round %d", n), func(t *testing.T) {
			for name, story := range stories {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					story(&scene{T: t, w: w, random: rand.New(rand.NewPCG(p.SeedOf(n), uint64(len(name))))})
				})
			}
		})
	})
}
