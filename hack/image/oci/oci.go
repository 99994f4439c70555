// Package oci writes a container image that holds one static program and nothing else, as a tar archive that
// is at once an OCI image layout (containerd, skopeo, podman) and a docker-archive (docker load). The same
// input gives the same bytes: no clock, no owner, no map order enters the archive.
//
// It may import the standard library only.
package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"
)

// NonRoot is the user and group that images run as unless the pod says otherwise.
const NonRoot = "65532:65532"

// ErrIncomplete is wrapped when an Image lacks what every image needs.
var ErrIncomplete = errors.New("incomplete image")

// Image is what goes into the archive.
type Image struct {
	// Reference is the full name, such as docker.io/truepacs/balancer:v1.0.0.
	Reference string
	// Program is the static executable, stored at Path.
	Program []byte
	// Path of the program inside the image, absolute; also the entry point.
	Path string
	// User the program runs as, "uid:gid"; empty: NonRoot.
	User string
	// Architecture in Go's spelling; empty: amd64.
	Architecture string
	// Created is the build time shown by tools; the zero value gives 1970.
	Created time.Time
	// Labels are OCI annotations of the configuration, such as org.opencontainers.image.version.
	Labels map[string]string
}

// Write writes the archive.
func Write(w io.Writer, img Image) error {
	img, err := img.complete()
	if err != nil {
		return err
	}
	layer, err := img.layer()
	if err != nil {
		return fmt.Errorf("layer of %s: %w", img.Reference, err)
	}
	config, err := json.Marshal(img.config(digest(layer)))
	if err != nil {
		return err
	}
	files, err := archiveFiles(img, layer, config)
	if err != nil {
		return err
	}
	return writeTar(w, files, img.Created)
}

func (img Image) complete() (Image, error) {
	switch {
	case img.Reference == "":
		return img, fmt.Errorf("%w: give it a reference, name:tag", ErrIncomplete)
	case len(img.Program) == 0:
		return img, fmt.Errorf("%w: %s has no program", ErrIncomplete, img.Reference)
	case !path.IsAbs(img.Path):
		return img, fmt.Errorf("%w: %s: the program's path %q must be absolute", ErrIncomplete, img.Reference, img.Path)
	}
	if img.User == "" {
		img.User = NonRoot
	}
	if img.Architecture == "" {
		img.Architecture = "amd64"
	}
	if img.Created.IsZero() {
		img.Created = time.Unix(0, 0)
	}
	img.Created = img.Created.UTC().Truncate(time.Second)
	return img, nil
}

// layer holds the program and an empty /tmp; a read-only root file system needs the mount point to exist.
func (img Image) layer() ([]byte, error) {
	var buf bytes.Buffer
	err := writeTar(&buf, []file{
		{name: img.Path[1:], mode: 0o755, body: img.Program},
		{name: "tmp/", mode: 0o1777},
	}, img.Created)
	return buf.Bytes(), err
}

// file is one member of a tar archive; a name with a final slash is a directory.
type file struct {
	name string
	mode int64
	body []byte
}

func writeTar(w io.Writer, files []file, modified time.Time) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.body)),
			ModTime: modified, Format: tar.FormatUSTAR,
		}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.body); err != nil {
			return err
		}
	}
	return t.Close()
}

func digest(blob []byte) string {
	sum := sha256.Sum256(blob)
	return hex.EncodeToString(sum[:])
}
