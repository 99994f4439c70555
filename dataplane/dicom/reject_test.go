package dicom

import (
	"strings"
	"testing"
)

func TestAssociateRJClasses(t *testing.T) {
	busy := map[AssociateRJ]bool{{2, 3, 1}: true, {2, 3, 2}: true, {2, 1, 2}: true}
	wrong := map[AssociateRJ]bool{{1, 1, 3}: true, {1, 1, 7}: true}
	for result := range byte(4) {
		for source := range byte(5) {
			for reason := range byte(12) {
				rj := AssociateRJ{result, source, reason}
				if rj.Busy() != busy[rj] || rj.Misconfigured() != wrong[rj] {
					t.Errorf("%v: busy %v, misconfigured %v", rj, rj.Busy(), rj.Misconfigured())
				}
			}
		}
	}
}

func TestPlainWords(t *testing.T) {
	cases := map[string]string{
		AssociateRJ{1, 1, 7}.String():          "does not recognise the called AE title, permanently (A-ASSOCIATE-RJ 1/1/7)",
		AssociateRJ{1, 1, 3}.String():          "does not recognise the calling AE title",
		AssociateRJ{2, 3, 2}.String():          "limit of associations, for the moment",
		AssociateRJ{1, 2, 2}.String():          "does not support the protocol version",
		AssociateRJ{2, 3, 1}.String():          "is congested",
		AssociateRJ{9, 9, 9}.String():          "the standard does not define (A-ASSOCIATE-RJ 9/9/9)",
		Abort{Source: 0}.String():              "without giving a reason (A-ABORT 0/0)",
		Abort{2, AbortUnexpectedPDU}.String():  "did not expect this PDU",
		Status(0x0122).String():                "SOP class not supported (status 0x0122)",
		TypeAbort.String():                     "A-ABORT",
		PDUType(0x48).String():                 "0x48",
		ContextAbstractSyntax.String():         "abstract syntax",
		Disconnected{StageEcho}.String():       "closed the connection while we were waiting for the answer",
		Aborted{Stage: StageEcho}.String():     "accepted the association and aborted it at C-ECHO",
		ContextRefused{Answer: 3}.String():     "not the Verification service",
		StatusFailure{Status: 0x0110}.String(): "processing failure",
	}
	for got, want := range cases {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}
