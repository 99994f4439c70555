package pacs

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/truepacs/balancer/e2e/lab"
)

//go:embed series.py
var seriesScript string

// Series are many small objects that a modality sends in one association.
type Series struct {
	// UID is the series' UID; its study has no other.
	UID string
	// Folder has the files and nothing else.
	Folder string
	// Images are the objects.
	Images []Instance
}

// MakeSeries writes series of CT images with random pixels below a folder; the same seed makes the
// same. They are in explicit VR little endian.
func MakeSeries(ctx context.Context, folder string, seed uint64, series, images int) ([]Series, error) {
	template := filepath.Join(corpusFolders[0], "CT_small.dcm")
	out, err := exec.CommandContext(ctx, python, "-c", seriesScript, template, folder,
		strconv.FormatUint(seed, 10), strconv.Itoa(series), strconv.Itoa(images)).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make DICOM files with pydicom (package python3-pydicom): %w\n%s", err, out)
	}
	all := make([]Series, 0, series)
	made, err := Instances(ctx, folder)
	if err != nil {
		return nil, err
	}
	for n := range series {
		s := Series{
			UID:    fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d.%d.1", seed, n+1),
			Folder: filepath.Join(folder, strconv.Itoa(n+1)),
		}
		for _, i := range made {
			if filepath.Dir(i.Path) == s.Folder {
				s.Images = append(s.Images, i)
			}
		}
		if len(s.Images) != images {
			return nil, fmt.Errorf("%s has %d images, not %d", s.Folder, len(s.Images), images)
		}
		all = append(all, s)
	}
	return all, nil
}

// Sending is a storescu that sends a series in one association.
type Sending struct {
	*lab.Process
	output *bytes.Buffer
}

// Send starts to send a series.
func (m Modality) Send(ctx context.Context, s Series) (*Sending, error) {
	var output bytes.Buffer
	process, err := m.Host.Start(ctx, lab.ProcessSpec{
		Argv: []string{"storescu", "-to", "120", "-ta", "300", "-td", "300", "-aet", m.AETitle, "-aec", AETitle, "-xe", "+sd",
			m.Server, strconv.Itoa(m.Port), s.Folder},
		Stdout: &output, Stderr: &output,
	})
	if err != nil {
		return nil, fmt.Errorf("run storescu (package dcmtk) on %s: %w", m.Host.Name(), err)
	}
	return &Sending{process, &output}, nil
}

// Ended waits for the end. code is storescu's exit status, 0 when the PACS has acknowledged every
// object and the release; output says what went wrong.
func (s *Sending) Ended() (code int, output string, err error) {
	exit, err := s.Wait()
	return exit.Code, s.output.String(), err
}

// Progress returns how many objects of each series the server has, by the series' UID.
func (o *Orthanc) Progress(ctx context.Context) (map[string]int, error) {
	body, err := o.get(ctx, "/series?expand")
	if err != nil {
		return nil, err
	}
	var list []struct {
		Instances     []string
		MainDicomTags struct{ SeriesInstanceUID string }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("list of series of %s: %w", o.Host.Name(), err)
	}
	have := make(map[string]int, len(list))
	for _, s := range list {
		have[s.MainDicomTags.SeriesInstanceUID] += len(s.Instances)
	}
	return have, nil
}
