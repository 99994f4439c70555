// Command probe is what the proofs run inside pods: each argument list is one experiment that prints what it
// saw and ends with status 0 when the kernel let it, 1 when it did not.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// experiments by their name, the first argument.
var experiments = map[string]func(args []string) error{
	"idle":        func([]string) error { waitForStop(); return nil },
	"identity":    identity,
	"family":      family,
	"ipvs-add":    addService,
	"ipvs-delete": deleteService,
	"nft":         nftTable,
	"inetconf":    inetConf,
	"read":        read,
	"write":       write,
	"bind":        bind,
	"keep":        keep,
	"serve":       serve,
	"fetch":       fetch,
	"socket":      socketOnly,
	"act":         act,
	"ready":       ready,
}

func main() {
	if len(os.Args) < 2 || experiments[os.Args[1]] == nil {
		fmt.Println("name an experiment")
		os.Exit(2)
	}
	if err := experiments[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println("REFUSED:", err)
		os.Exit(1)
	}
}

func waitForStop() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

// identity prints what the kernel thinks of this process.
func identity([]string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		for _, wanted := range []string{"Uid:", "Gid:", "Groups:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"} {
			if strings.HasPrefix(line, wanted) {
				fmt.Print(strings.ReplaceAll(strings.TrimSpace(line), "\t", " "), "; ")
			}
		}
	}
	fmt.Println()
	return nil
}

func read(args []string) error {
	text, err := os.ReadFile(args[0])
	fmt.Print(string(text))
	return err
}

// write writes args[1] to the existing file args[0], as one would to a sysctl.
func write(args []string) error {
	f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.WriteString(args[1]); err == nil {
		fmt.Println("written", args[0], args[1])
	}
	return err
}
