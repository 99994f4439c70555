package site

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
)

// Program returns the absolute path of the program that the suites show: the one that the
// environment's TRUEPACS_BINARY names, else bin/truepacs, which make builds. Names that are not
// absolute are below the root of the module.
func Program() (string, error) {
	path := os.Getenv("TRUEPACS_BINARY")
	if path == "" {
		path = filepath.Join("bin", "truepacs")
	}
	if !filepath.IsAbs(path) {
		root, err := binaries.Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, path)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the program is missing, run make build: %w", err)
	}
	return path, nil
}
