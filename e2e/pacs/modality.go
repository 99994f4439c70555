package pacs

import (
	"context"
	"fmt"
	"strconv"

	"github.com/truepacs/balancer/e2e/lab"
)

// Modality sends images from a host of the lab with dcmtk's storescu.
type Modality struct {
	Host lab.Host
	// AETitle is how the modality calls itself.
	AETitle string
	// Server is the address that images are sent to.
	Server string
	// Port is the DICOM port of Server.
	Port int
}

// Store sends one object in an association of its own. code is storescu's exit status, 0 when
// the PACS has acknowledged the object; output says what went wrong.
func (m Modality) Store(ctx context.Context, instance Instance) (code int, output string, err error) {
	result, err := m.Host.Run(ctx, "storescu", "-to", "10", "-ta", "30", "-td", "30",
		"-aet", m.AETitle, "-aec", AETitle, proposals[instance.TransferSyntax],
		m.Server, strconv.Itoa(m.Port), instance.Path)
	if err != nil {
		return 0, "", fmt.Errorf("run storescu (package dcmtk) on %s: %w", m.Host.Name(), err)
	}
	return result.ExitCode, result.Stdout + result.Stderr, nil
}
