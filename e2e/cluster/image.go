package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/hack/image/oci"
)

// BuildImage builds the command in folder (from the module's root, "./e2e/cluster/pause") as a static program,
// packs it as an image from scratch with that program as its entry point, and returns the archive's path, in
// dir and named after the command. The archive appears in one step and is the same for the same source.
func BuildImage(ctx context.Context, dir, folder, reference string) (_ string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "image-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	name := path.Base(folder)
	program, archive := filepath.Join(work, name), filepath.Join(work, name+".tar")
	if err := lab.BuildStatic(ctx, folder, program); err != nil {
		return "", err
	}
	body, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	if err := writeImage(archive, oci.Image{Reference: reference, Program: body, Path: "/" + name}); err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	final := filepath.Join(dir, name+".tar")
	return final, os.Rename(archive, final)
}

func writeImage(path string, img oci.Image) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return oci.Write(f, img)
}
