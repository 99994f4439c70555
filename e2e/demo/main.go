// Command demo shows the main job on a LAN of virtual hosts: images and web traffic go through
// both data paths to two real PACS servers, one of them fails and comes back. What it claims is
// witnessed outside the product: by captures on the wire, ipvsadm, and the PACS's databases.
//
// It needs root, ends with a table, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/truepacs/balancer/e2e/site"
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "\nThe demonstration failed:", err)
		os.Exit(1)
	}
}

func start() error {
	binary := flag.String("binary", "bin/truepacs", "the truepacs program")
	verbose := flag.Bool("v", false, "print what the lab does")
	limit := flag.Duration("limit", 10*time.Minute, "give up after this time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	return run(ctx, *binary, *verbose)
}

// scene is one step of the story.
type scene struct {
	title string
	play  func(ctx context.Context, d *demo) error
}

// story is the table of contents.
var story = []scene{
	{"A small hospital: one director, two PACS servers, six modalities, one viewer", buildSite},
	{"The administrator writes one TruePACSBalancer; the director becomes Ready", becomeReady},
	{"Six modalities store images through the virtual IP address", storeImages},
	{"Replies went straight from the servers to the modalities", checkCaptures},
	{"A viewer retrieves a study over HTTPS through the same address", retrieveStudy},
	{"One PACS server dies", loseServer},
	{"It comes back and is used again", regainServer},
	{"truepacs uninstall gives everything back", uninstall},
}

// demo is the state of the story.
type demo struct {
	binary  string
	verbose bool
	start   time.Time
	site    *site.Site
	images  *images
	table   table
}

func run(ctx context.Context, binary string, verbose bool) (err error) {
	d := &demo{binary: binary, verbose: verbose, start: time.Now()}
	defer func() {
		if d.site != nil {
			err = errors.Join(err, d.site.Close())
		}
	}()
	for i, s := range story {
		fmt.Printf("\n%d. %s  [%s]\n", i+1, s.title, time.Since(d.start).Round(time.Second))
		if err := s.play(ctx, d); err != nil {
			d.explain(ctx)
			return fmt.Errorf("scene %d, %s: %w", i+1, s.title, err)
		}
	}
	d.table.add("time", "the whole story", time.Since(d.start).Round(time.Second).String())
	d.table.print(os.Stdout)
	fmt.Println("\nEvery scene held. All hosts of the demonstration are removed.")
	return nil
}

// explain prints what helps to understand a failure.
func (d *demo) explain(ctx context.Context) {
	if d.site == nil || ctx.Err() != nil {
		return
	}
	for _, host := range d.site.Hosts() {
		fmt.Printf("--- truepacs on %s printed:\n%s\n", host.Name(), d.site.Output(host))
	}
	for _, argv := range [][]string{{"ipvsadm", "-Ln"}, {"ip", "-4", "address"}, {"/usr/local/bin/truepacs", "status"}} {
		if out, err := d.site.MustRun(ctx, d.site.Director, argv...); err == nil {
			fmt.Printf("--- %v:\n%s\n", argv, out)
		}
	}
}

// say prints one line of the story.
func (d *demo) say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// log passes on what the lab says, if asked for.
func (d *demo) log(format string, args ...any) {
	if d.verbose {
		d.say(format, args...)
	}
}
