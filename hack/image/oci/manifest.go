package oci

import (
	"encoding/json"
	"time"
)

// Media types of OCI image-spec 1.0.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// refName is the annotation by which containerd and podman name the imported image.
const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       runConfig `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
	History      []history `json:"history"`
}

type runConfig struct {
	User       string            `json:"User"`
	Entrypoint []string          `json:"Entrypoint"`
	WorkingDir string            `json:"WorkingDir"`
	Env        []string          `json:"Env"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// dockerManifest is an entry of docker save's manifest.json.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (img Image) config(layerDigest string) imageConfig {
	return imageConfig{
		Created: img.Created, Architecture: img.Architecture, OS: "linux",
		Config: runConfig{
			User: img.User, Entrypoint: []string{img.Path}, WorkingDir: "/",
			Env: []string{"PATH=/"}, Labels: img.Labels,
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{"sha256:" + layerDigest}},
		History: []history{{Created: img.Created, CreatedBy: "COPY " + img.Path}},
	}
}

// archiveFiles lays the blobs out for both readers. They share the blobs; only the entry files differ.
func archiveFiles(img Image, layer, config []byte) ([]file, error) {
	m, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: mediaManifest,
		Config: describe(mediaConfig, config), Layers: []descriptor{describe(mediaLayer, layer)},
	})
	if err != nil {
		return nil, err
	}
	entry := describe(mediaManifest, m)
	entry.Annotations = map[string]string{refName: img.Reference, containerdName: img.Reference}
	entry.Platform = &platform{Architecture: img.Architecture, OS: "linux"}
	idx, err := json.Marshal(index{SchemaVersion: 2, MediaType: mediaIndex, Manifests: []descriptor{entry}})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]dockerManifest{{
		Config: blobPath(config), RepoTags: []string{img.Reference}, Layers: []string{blobPath(layer)},
	}})
	if err != nil {
		return nil, err
	}
	return []file{
		{name: "oci-layout", mode: 0o644, body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", mode: 0o644, body: idx},
		{name: "manifest.json", mode: 0o644, body: docker},
		{name: "blobs/", mode: 0o755},
		{name: "blobs/sha256/", mode: 0o755},
		{name: blobPath(m), mode: 0o644, body: m},
		{name: blobPath(config), mode: 0o644, body: config},
		{name: blobPath(layer), mode: 0o644, body: layer},
	}, nil
}

func describe(mediaType string, blob []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest(blob), Size: len(blob)}
}

func blobPath(blob []byte) string { return "blobs/sha256/" + digest(blob) }
