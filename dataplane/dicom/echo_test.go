package dicom

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func newEcho(tb testing.TB) *EchoRequestor {
	tb.Helper()
	r, err := NewEchoRequestor(EchoConfig{CalledAETitle: "ARCHIVE", CallingAETitle: "TPBALANCER"})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// encode joins PDUs of a made-up server.
func encode(tb testing.TB, pdus ...PDU) []byte {
	tb.Helper()
	var out []byte
	for _, p := range pdus {
		var err error
		if out, err = p.Append(out); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// acceptance is an A-ASSOCIATE-AC to the echo request.
func acceptance(c ContextResult, maxPDU uint32) *AssociateAC {
	return &AssociateAC{
		ProtocolVersion: 1, ApplicationContext: ApplicationContextUID,
		Contexts: []ContextResult{c}, User: UserInformation{MaxPDULength: maxPDU},
	}
}

var implicit = ContextResult{ID: 1, TransferSyntax: ImplicitVRLittleEndianUID}

// response is a P-DATA-TF with a C-ECHO-RSP, cut in the given number of fragments.
func response(tb testing.TB, c Command, fragments int) PData {
	tb.Helper()
	set, err := c.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	var p PData
	for i := range fragments {
		from, to := i*len(set)/fragments, (i+1)*len(set)/fragments
		p.PDVs = append(p.PDVs, PDV{ContextID: 1, Command: true, Last: i == fragments-1, Data: set[from:to]})
	}
	return p
}

func TestEchoConversations(t *testing.T) {
	ok := acceptance(implicit, 0)
	success := Command{Field: CEchoRSP, RespondedTo: 1}
	rsp := response(t, success, 1)
	failed := ProtocolError{}
	abort, releaseRQ, releaseRP := TypeAbort, TypeReleaseRQ, TypeReleaseRP
	cases := map[string]struct {
		server []byte
		want   Outcome
		sent   []PDUType // after A-ASSOCIATE-RQ
		open   bool      // not Done yet
	}{
		"storescp":                       {server: captured(t, "dcmtk-storescp-echo.reply"), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"dcmqrscp":                       {server: captured(t, "dcmtk-dcmqrscp-echo.reply"), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"orthanc":                        {server: captured(t, "orthanc-echo.reply"), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"called refused":                 {server: captured(t, "dcmtk-dcmqrscp-called-refused.reply"), want: Rejected{AssociateRJ{1, 1, 7}}},
		"orthanc aborts":                 {server: captured(t, "orthanc-calling-aborted.reply"), want: Aborted{Stage: StageEcho}, sent: []PDUType{TypePData}},
		"abort at once":                  {server: encode(t, Abort{2, 1}), want: Aborted{StageAssociation, Abort{2, 1}}},
		"explicit chosen":                {server: encode(t, acceptance(ContextResult{ID: 1, TransferSyntax: ExplicitVRLittleEndianUID}, 16384), rsp, ReleaseRP{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"fragments":                      {server: encode(t, ok, response(t, success, 3), ReleaseRP{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"status":                         {server: encode(t, ok, response(t, Command{Field: CEchoRSP, RespondedTo: 1, Status: 0x0122}, 1), ReleaseRP{}), want: StatusFailure{0x0122}, sent: []PDUType{TypePData, releaseRQ}},
		"service refused":                {server: encode(t, acceptance(ContextResult{ID: 1, Result: 3}, 0), ReleaseRP{}), want: ContextRefused{3}, sent: []PDUType{releaseRQ}},
		"no release yet":                 {server: encode(t, ok, rsp), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}, open: true},
		"no answer yet":                  {server: encode(t, ok), sent: []PDUType{TypePData}, open: true},
		"collision":                      {server: encode(t, ok, rsp, ReleaseRQ{}, ReleaseRP{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ, releaseRP}},
		"two collisions":                 {server: encode(t, ok, rsp, ReleaseRQ{}, ReleaseRQ{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ, releaseRP, abort}},
		"abort instead of release reply": {server: encode(t, ok, rsp, Abort{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"data during release":            {server: encode(t, ok, rsp, rsp, ReleaseRP{}), want: Succeeded{}, sent: []PDUType{TypePData, releaseRQ}},
		"context not answered":           {server: encode(t, acceptance(ContextResult{ID: 3, TransferSyntax: ImplicitVRLittleEndianUID}, 0)), want: failed, sent: []PDUType{abort}},
		"syntax not offered":             {server: encode(t, acceptance(ContextResult{ID: 1, TransferSyntax: "1.2.840.10008.1.2.2"}, 0)), want: failed, sent: []PDUType{abort}},
		"no room for the request":        {server: encode(t, acceptance(implicit, 20)), want: failed, sent: []PDUType{abort}},
		"released instead of answered":   {server: encode(t, ok, ReleaseRQ{}), want: failed, sent: []PDUType{TypePData, releaseRP}},
		"answer to another message":      {server: encode(t, ok, response(t, Command{Field: CEchoRSP, RespondedTo: 2}, 1)), want: failed, sent: []PDUType{TypePData, abort}},
		"request instead of answer":      {server: encode(t, ok, response(t, Command{Field: CEchoRQ, MessageID: 1}, 1)), want: failed, sent: []PDUType{TypePData, abort}},
		"answer with data set":           {server: encode(t, ok, response(t, Command{Field: CEchoRSP, RespondedTo: 1, DataSet: true}, 1)), want: failed, sent: []PDUType{TypePData, abort}},
		"data set only":                  {server: encode(t, ok, PData{[]PDV{{ContextID: 1, Last: true}}}), want: failed, sent: []PDUType{TypePData, abort}},
		"garbage answer":                 {server: encode(t, ok, PData{[]PDV{{ContextID: 1, Command: true, Last: true, Data: []byte("x")}}}), want: failed, sent: []PDUType{TypePData, abort}},
		"accepted twice":                 {server: encode(t, ok, ok), want: failed, sent: []PDUType{TypePData, abort}},
		"rejected after acceptance":      {server: encode(t, ok, AssociateRJ{1, 1, 1}), want: failed, sent: []PDUType{TypePData, abort}},
		"request back":                   {server: encode(t, echoRequest("A", "B", 1)), want: failed, sent: []PDUType{abort}},
		"answer before acceptance":       {server: encode(t, rsp), want: failed, sent: []PDUType{abort}},
		"release before acceptance":      {server: encode(t, ReleaseRP{}), want: failed, sent: []PDUType{abort}},
		"web server":                     {server: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), want: failed, sent: []PDUType{abort}},
		"over our maximum length":        {server: append(encode(t, ok), 4, 0, 0, 0, 0x40, 1), want: failed, sent: []PDUType{TypePData, abort}},
	}
	ignoreErr := cmpopts.IgnoreFields(ProtocolError{}, "Err", "Stage")
	used := newEcho(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for i, piece := range []int{1, 5, len(tc.server), pduByPDU, 1, 5, len(tc.server), pduByPDU} {
				r := newEcho(t)
				if i >= 4 { // one that has been through many of these
					r = used
					r.plan.Again(r)
				}
				sent := converse(t, r, tc.server, piece)
				if diff := cmp.Diff(tc.want, r.Outcome(), ignoreErr); diff != "" {
					t.Errorf("pieces of %d: outcome %v: %s", piece, r.Outcome(), diff)
				}
				if diff := cmp.Diff(append([]PDUType{TypeAssociateRQ}, tc.sent...), sent); diff != "" {
					t.Errorf("pieces of %d: sent %s", piece, diff)
				}
				if r.Done() == tc.open {
					t.Errorf("pieces of %d: Done() = %v", piece, r.Done())
				}
			}
		})
	}
}

// pduByPDU has converse feed one PDU at a time, as servers send them.
const pduByPDU = 0

// TestEchoAgainAllocatesNothing asks a server once more that answers as before.
func TestEchoAgainAllocatesNothing(t *testing.T) {
	answers := [][]byte{encode(t, acceptance(implicit, 0)), encode(t, response(t, Command{Field: CEchoRSP, RespondedTo: 1}, 1)), encode(t, ReleaseRP{})}
	r := newEcho(t)
	once := func() {
		r.plan.Again(r)
		for _, a := range answers {
			r.Output()
			r.Feed(a)
		}
		if r.Outcome() != (Succeeded{}) || !r.Done() {
			t.Fatalf("outcome %v, done %v", r.Outcome(), r.Done())
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// converse feeds what a server sends and returns the types of the PDUs that r sent.
func converse(tb testing.TB, r *EchoRequestor, server []byte, piece int) []PDUType {
	tb.Helper()
	out := append([]byte(nil), r.Output()...)
	for len(server) > 0 {
		n := min(piece, len(server))
		if h, err := ParseHeader(server); piece == pduByPDU && err == nil {
			n = min(HeaderLength+int(h.Length), len(server))
		} else if piece == pduByPDU {
			n = len(server)
		}
		r.Feed(server[:n])
		server = server[n:]
		out = append(out, r.Output()...)
	}
	pdus, _, err := decodeAll(out, max(1, len(out)), Limits{})
	if err != nil {
		tb.Fatalf("sent something that does not parse: %v", err)
	}
	var types []PDUType
	for _, p := range pdus {
		types = append(types, p.Type())
	}
	return types
}

func TestEchoRequestOnTheWire(t *testing.T) {
	pdu, err := ParsePDU(newEcho(t).Output(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(echoRequest("ARCHIVE", "TPBALANCER", 16384), pdu); diff != "" {
		t.Error(diff)
	}
	if n := len(ImplementationVersionName); n > 16 {
		t.Errorf("version name of %d bytes", n)
	}
}

func TestEchoPeerClosed(t *testing.T) {
	r := newEcho(t)
	r.PeerClosed()
	if r.Outcome() != (Disconnected{StageAssociation}) || !r.Done() {
		t.Errorf("outcome %v", r.Outcome())
	}
	r = newEcho(t)
	r.Feed(encode(t, acceptance(implicit, 0), response(t, Command{Field: CEchoRSP, RespondedTo: 1}, 1)))
	r.PeerClosed()
	if r.Outcome() != (Succeeded{}) || !r.Done() {
		t.Errorf("outcome %v after the answer", r.Outcome())
	}
}

func TestEchoAbort(t *testing.T) {
	r := newEcho(t)
	r.Output()
	r.Abort()
	if diff := cmp.Diff(encode(t, Abort{Source: AbortByUser}), r.Output()); diff != "" || !r.Done() || r.Outcome() != nil {
		t.Error(diff, r.Done(), r.Outcome())
	}
	r.Abort()
	r.Feed([]byte("late"))
	if r.Output() != nil {
		t.Error("output after the end")
	}
}

func TestNewEchoRequestorNamesTheField(t *testing.T) {
	cases := map[string]struct {
		cfg  EchoConfig
		want error
	}{
		"called":  {EchoConfig{CalledAETitle: "", CallingAETitle: "B"}, ErrInvalidAETitle},
		"calling": {EchoConfig{CalledAETitle: "A", CallingAETitle: `B\`}, ErrInvalidAETitle},
		"max PDU": {EchoConfig{CalledAETitle: "A", CallingAETitle: "B", MaxPDULength: 1}, ErrMalformed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := NewEchoRequestor(tc.cfg); !errors.Is(err, tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestEchoRemembersWholeAnswersOnly: neither nothing nor the end of an answer is what a server answered before.
func TestEchoRemembersWholeAnswersOnly(t *testing.T) {
	accepted, answered := encode(t, acceptance(implicit, 0)), encode(t, response(t, Command{Field: CEchoRSP, RespondedTo: 1}, 1))
	for name, server := range map[string][]byte{"association": nil, "echo": accepted} {
		t.Run(name, func(t *testing.T) {
			r := newEcho(t)
			r.Feed(server)
			before := r.Stage()
			if r.Feed(nil); r.Stage() != before || r.Outcome() != nil {
				t.Errorf("nothing was taken for an answer: stage %v, outcome %v", r.Stage(), r.Outcome())
			}
		})
	}
	r := newEcho(t)
	for _, p := range [][]byte{accepted[:20], accepted[20:], answered[:9], answered[9:]} {
		r.Feed(p)
	}
	if r.Outcome() != (Succeeded{}) {
		t.Fatalf("outcome %v", r.Outcome())
	}
	for name, ends := range map[string][]byte{"association": accepted[20:], "echo": answered[9:]} {
		r.plan.Again(r)
		if name == "echo" {
			r.Feed(accepted)
		}
		before := r.Stage()
		if r.Feed(ends); r.Stage() > before && !r.Done() {
			t.Errorf("%s: the end of an answer was taken for all of it", name)
		}
	}
}
