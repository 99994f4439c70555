package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// diskBySerial finds a virtual disk. The driver probes in the background, so the
// disk may appear a moment later than the module.
func diskBySerial(serial string) (string, error) {
	for range 200 {
		paths, err := filepath.Glob("/sys/block/*/serial")
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(content)) == serial {
				return filepath.Join("/dev", filepath.Base(filepath.Dir(path))), nil
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	return "", fmt.Errorf("no disk has the serial number %q", serial)
}

func mountDisk(serial, target string, flags uintptr) error {
	device, err := diskBySerial(serial)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, target, "ext4", flags, ""); err != nil {
		return fmt.Errorf("mount disk %q on %s: %w", serial, target, err)
	}
	return nil
}

// mountModules gives the machine all modules of its kernel without a copy in memory.
func mountModules(target string) error {
	return mountDisk(guest.SerialModules, target, unix.MS_RDONLY)
}
