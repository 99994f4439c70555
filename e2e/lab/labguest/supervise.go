package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// runSupervise starts a lab's world, waits for the test to close its end of the
// pipe on standard input, be it by Close or by being killed, and removes
// everything. Arguments: the lab's folder and its entry in the register; descriptor
// 3 is the entry, locked for as long as supervisor or world live.
func runSupervise(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: two arguments wanted, the lab's folder and its register entry", guest.RoleSupervise)
	}
	dir, entry := args[0], args[1]
	world, pipe, err := startWorld(dir)
	if err != nil {
		return err
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	_ = pipe.Close()
	_ = world.Process.Kill()
	_ = world.Wait()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the lab's folder: %w", err)
	}
	if err := os.Remove(entry); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

func startWorld(dir string) (*exec.Cmd, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer read.Close()
	world := exec.Command(self, guest.RoleWorld, "world.sock")
	world.Dir = dir
	world.Stdin, world.Stdout, world.Stderr = read, os.Stderr, os.Stderr
	world.ExtraFiles = []*os.File{os.NewFile(3, "register entry")}
	world.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := world.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the lab's namespaces: %w: the lab needs root", err)
	}
	return world, write, nil
}
