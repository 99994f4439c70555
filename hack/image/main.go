// Command image packs the static truepacs binary into a container image FROM SCRATCH, without Docker:
//
//	CGO_ENABLED=0 go build -trimpath -o bin/truepacs .
//	go run ./hack/image -program bin/truepacs -reference docker.io/truepacs/balancer:v1.0.0 -output dist/image.tar
//
// The archive loads with `docker load -i`, `ctr images import` and `skopeo copy oci-archive:`. The creation
// time is SOURCE_DATE_EPOCH (reproducible-builds.org), or 1970 when that is not set.
package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/truepacs/balancer/hack/image/oci"
)

func main() {
	if err := run(os.Args[1:], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, getenv func(string) string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	program := flags.String("program", "bin/truepacs", "static executable to pack")
	output := flags.String("output", "dist/image.tar", "archive to write")
	version := flags.String("version", "", "value of the label org.opencontainers.image.version")
	var img oci.Image
	flags.StringVar(&img.Reference, "reference", "", "name of the image, with its tag")
	flags.StringVar(&img.Path, "path", "/truepacs", "path of the program inside the image")
	flags.StringVar(&img.User, "user", oci.NonRoot, "uid:gid the program runs as")
	if err := flags.Parse(args); err != nil {
		return err
	}
	created, err := sourceDate(getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	img.Created = created
	if img.Program, img.Architecture, err = readStatic(*program); err != nil {
		return err
	}
	img.Labels = map[string]string{"org.opencontainers.image.title": "truepacs-balancer"}
	if *version != "" {
		img.Labels["org.opencontainers.image.version"] = *version
	}
	return write(*output, img)
}

func write(path string, img oci.Image) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return oci.Write(f, img)
}

func sourceDate(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: write seconds since 1970: %w", err)
	}
	return time.Unix(seconds, 0), nil
}

// readStatic reads an executable and refuses one that needs a dynamic loader, which no scratch image holds.
func readStatic(path string) ([]byte, string, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	f, err := elf.NewFile(bytes.NewReader(body))
	if err != nil {
		return nil, "", fmt.Errorf("%s is no Linux executable: %w", path, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, "", fmt.Errorf("%s is dynamically linked and cannot start in a scratch image: build it with CGO_ENABLED=0", path)
		}
	}
	arch, ok := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if !ok {
		return nil, "", fmt.Errorf("%s is built for %v: build it for amd64 or arm64", path, f.Machine)
	}
	return body, arch, nil
}
