// Command probe asks the kernel of a lab machine one question and prints the
// answer; the tests in e2e/lab/prove put it into the machine. It uses nothing of
// the product.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

// questions by name; each gets the remaining arguments.
func questions() map[string]func([]string) error {
	return map[string]func([]string) error{
		"family":       askFamily,
		"devconf":      showDevconf,
		"devconf-set":  setDevconf,
		"address":      showAddress,
		"address-add":  addAddress,
		"lease":        holdLease,
		"lease-stress": stressLease,
		"caps":         showCapabilities,
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	known := questions()
	if len(args) > 0 && known[args[0]] != nil {
		return known[args[0]](args[1:])
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	return fmt.Errorf("name one of: %s", strings.Join(names, ", "))
}

// showCapabilities prints the effective capabilities, so that a test knows that it
// has dropped what it wanted to drop.
func showCapabilities([]string) error {
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			fmt.Println(strings.TrimSpace(value))
			return nil
		}
	}
	return fmt.Errorf("the kernel does not show capabilities")
}
