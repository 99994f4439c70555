package pacs

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

//go:embed instances.py
var script string

// python is Debian's own: python3-pydicom is installed for it and not for any other.
const python = "/usr/bin/python3"

// Instance is one DICOM object in a file.
type Instance struct {
	Path           string `json:"path"`
	SOP            string `json:"sop"`
	Class          string `json:"class"`
	Study          string `json:"study"`
	TransferSyntax string `json:"transferSyntax"`
	// Hash is of the pixel data, or of all elements of an object without any.
	Hash  string `json:"hash"`
	Bytes int64  `json:"bytes"`
}

// Instances reads files and folders with pydicom. What is not a DICOM object is left out.
func Instances(ctx context.Context, paths ...string) ([]Instance, error) {
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", script}, paths...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read DICOM files with pydicom (package python3-pydicom): %w\n%s", err, stderr.String())
	}
	var list []Instance
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("read DICOM files: %w", err)
	}
	return list, nil
}

// corpusFolders hold the images of Debian's python3-pydicom.
var corpusFolders = []string{
	"/usr/lib/python3/dist-packages/pydicom/data/test_files",
	"/usr/lib/python3/dist-packages/pydicom/data/charset_files",
}

// proposals are the options of storescu that propose a transfer syntax, so that an object is
// sent as it is. The files of other syntaxes are not in the corpus.
var proposals = map[string]string{
	"1.2.840.10008.1.2":      "-xi", // implicit VR little endian
	"1.2.840.10008.1.2.1":    "-xe", // explicit VR little endian
	"1.2.840.10008.1.2.4.50": "-xy", // JPEG baseline
	"1.2.840.10008.1.2.4.51": "-xx", // JPEG extended
	"1.2.840.10008.1.2.4.70": "-xs", // JPEG lossless
	"1.2.840.10008.1.2.4.90": "-xv", // JPEG 2000 lossless
	"1.2.840.10008.1.2.4.91": "-xw", // JPEG 2000
	"1.2.840.10008.1.2.5":    "-xr", // RLE
}

// broken are pydicom's deliberately damaged files, and those that dcmtk does not send unchanged.
var broken = []string{"truncated", "badVR", "no_meta", "meta_missing", "NoMeta", "embedded-sequence", "UN_sequence", "priv_SQ", "empty_", "DICOMDIR", "nested", "SC_ybr", "SC_rgb_jpeg.dcm", "liver_1frame", "reportsi"}

// Corpus returns the distinct objects of Debian's python3-pydicom that storescu can send.
func Corpus(ctx context.Context) ([]Instance, error) {
	all, err := Instances(ctx, corpusFolders...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(i Instance) bool {
		again := seen[i.SOP]
		bad := slices.ContainsFunc(broken, func(part string) bool { return strings.Contains(i.Path, part) })
		unusable := again || bad || proposals[i.TransferSyntax] == "" || strings.HasPrefix(i.Class, "1.2.840.10008.1.3.10")
		seen[i.SOP] = again || !unusable
		return unusable
	}), nil
}
