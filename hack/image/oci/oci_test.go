package oci_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/hack/image/oci"
)

var image = oci.Image{Reference: "example.org/truepacs:v1", Program: []byte("\x7fELF program"), Path: "/truepacs",
	Labels: map[string]string{"b": "2", "a": "1"}}

func TestSameInputGivesSameBytes(t *testing.T) {
	if !bytes.Equal(archive(t, image), archive(t, image)) {
		t.Error("two archives of one image differ")
	}
	other := image
	other.Program = []byte("\x7fELF other")
	if bytes.Equal(archive(t, image), archive(t, other)) {
		t.Error("archives of different programs are equal")
	}
}

// TestReadersFindTheProgram walks the archive as containerd (index.json) and docker (manifest.json) do.
func TestReadersFindTheProgram(t *testing.T) {
	files := members(t, archive(t, image))
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	decode(t, files["index.json"], &index)
	if got := index.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != image.Reference {
		t.Errorf("reference %q, want %q", got, image.Reference)
	}
	var manifest struct{ Config, Layer struct{ Digest string } }
	var layers struct{ Layers []struct{ Digest string } }
	decode(t, blob(t, files, index.Manifests[0].Digest), &manifest)
	decode(t, blob(t, files, index.Manifests[0].Digest), &layers)
	layer := blob(t, files, layers.Layers[0].Digest)
	if diff := cmp.Diff(map[string]string{"truepacs": string(image.Program), "tmp/": ""}, text(members(t, layer))); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	decode(t, blob(t, files, manifest.Config.Digest), &config)
	if config.Config.User != oci.NonRoot || config.Config.Entrypoint[0] != "/truepacs" || config.RootFS.DiffIDs[0] != layers.Layers[0].Digest {
		t.Errorf("config %+v", config)
	}
	var docker []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	decode(t, files["manifest.json"], &docker)
	if docker[0].RepoTags[0] != image.Reference || !bytes.Equal(files[docker[0].Layers[0]], layer) || files[docker[0].Config] == nil {
		t.Errorf("docker manifest %+v", docker)
	}
}

func TestRefusesIncompleteImages(t *testing.T) {
	tests := map[string]struct {
		change func(*oci.Image)
		want   string
	}{
		"no reference":  {func(i *oci.Image) { i.Reference = "" }, "reference"},
		"no program":    {func(i *oci.Image) { i.Program = nil }, "no program"},
		"relative path": {func(i *oci.Image) { i.Path = "truepacs" }, "absolute"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			img := image
			tc.change(&img)
			err := oci.Write(io.Discard, img)
			if !errors.Is(err, oci.ErrIncomplete) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %v that says %q", err, oci.ErrIncomplete, tc.want)
			}
		})
	}
}

func archive(t *testing.T, img oci.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := oci.Write(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func members(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = body
	}
}

func blob(t *testing.T, files map[string][]byte, digest string) []byte {
	t.Helper()
	hash := strings.TrimPrefix(digest, "sha256:")
	body := files[path.Join("blobs/sha256", hash)]
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != hash {
		t.Fatalf("blob %s is missing or has other content", digest)
	}
	return body
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

func text(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, body := range files {
		out[name] = string(body)
	}
	return out
}

// TestMembersCarryNoClockAndNoOwner: what would make two builds of one source differ.
func TestMembersCarryNoClockAndNoOwner(t *testing.T) {
	img := image
	img.Created = time.Unix(1700000000, 0)
	outer := archive(t, img)
	archives := [][]byte{outer}
	for name, body := range members(t, outer) {
		if strings.HasPrefix(name, "blobs/sha256/") && len(body) > 1024 {
			archives = append(archives, body) // the layer
		}
	}
	if len(archives) != 2 {
		t.Fatalf("%d archives, want the image and its layer", len(archives))
	}
	for _, a := range archives {
		for r := tar.NewReader(bytes.NewReader(a)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(img.Created) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
				t.Errorf("%s: time %s, owner %d:%d %q", h.Name, h.ModTime, h.Uid, h.Gid, h.Uname)
			}
		}
	}
}
