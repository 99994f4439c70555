package health

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/dicom"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

var echoCheck = Check{Type: DICOMEcho, DICOM: DICOMCheck{CalledAETitle: "ARCHIVE", CallingAETitle: "TPBALANCER"}}

// scp is a DICOM server that answers each kind of PDU as told; types without an answer are ignored.
func scp(answers map[dicom.PDUType]dicom.PDU, got chan<- []dicom.PDUType) func(net.Conn) {
	return func(c net.Conn) {
		var seen []dicom.PDUType
		defer func() { got <- seen }()
		dec := dicom.NewDecoder(dicom.Limits{})
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			dec.Feed(buf[:n])
			for {
				pdu, err := dec.Next()
				if err != nil || pdu == nil {
					break
				}
				seen = append(seen, pdu.Type())
				if a, ok := answers[pdu.Type()]; ok {
					out, _ := a.Append(nil)
					_, _ = c.Write(out)
				}
			}
		}
	}
}

func accepted(answer dicom.ContextAnswer) *dicom.AssociateAC {
	c := dicom.ContextResult{ID: 1, Result: answer}
	if answer == dicom.ContextAccepted {
		c.TransferSyntax = dicom.ImplicitVRLittleEndianUID
	}
	return &dicom.AssociateAC{
		ProtocolVersion: 1, ApplicationContext: dicom.ApplicationContextUID,
		Contexts: []dicom.ContextResult{c}, User: dicom.UserInformation{MaxPDULength: 16384},
	}
}

func echoed(t *testing.T, status dicom.Status) dicom.PData {
	t.Helper()
	set, err := dicom.Command{Field: dicom.CEchoRSP, RespondedTo: 1, Status: status}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return dicom.PData{PDVs: []dicom.PDV{{ContextID: 1, Command: true, Last: true, Data: set}}}
}

func TestDICOMEchoAgainstScriptedServers(t *testing.T) {
	const rq, data, release, abort = dicom.TypeAssociateRQ, dicom.TypePData, dicom.TypeReleaseRQ, dicom.TypeAbort
	type script = map[dicom.PDUType]dicom.PDU
	ac, ok := accepted(dicom.ContextAccepted), echoed(t, 0)
	cases := map[string]struct {
		answers script
		grade   Grade
		reason  Reason
		says    string
		sent    []dicom.PDUType
	}{
		"works":               {script{rq: ac, data: ok, release: dicom.ReleaseRP{}}, Pass, "", "", []dicom.PDUType{rq, data, release}},
		"ignores the release": {script{rq: ac, data: ok}, Pass, "", "", []dicom.PDUType{rq, data, release}},
		"congested":           {script{rq: dicom.AssociateRJ{Result: 2, Source: 3, Reason: 1}}, Pass, ServerBusy, "stays in service", []dicom.PDUType{rq}},
		"at its limit":        {script{rq: dicom.AssociateRJ{Result: 2, Source: 3, Reason: 2}}, Pass, ServerBusy, "limit of associations", []dicom.PDUType{rq}},
		"called AE title":     {script{rq: dicom.AssociateRJ{Result: 1, Source: 1, Reason: 7}}, Fail, AETitleRejected, `"ARCHIVE" (it does not recognise the called AE title, permanently (A-ASSOCIATE-RJ 1/1/7)). Set healthChecks.dicomEcho.calledAETitle`, []dicom.PDUType{rq}},
		"calling AE title":    {script{rq: dicom.AssociateRJ{Result: 1, Source: 1, Reason: 3}}, Fail, AETitleRejected, `"TPBALANCER" (it does not recognise the calling AE title, permanently (A-ASSOCIATE-RJ 1/1/3)). Set healthChecks.dicomEcho.callingAETitle`, []dicom.PDUType{rq}},
		"rejected":            {script{rq: dicom.AssociateRJ{Result: 1, Source: 2, Reason: 2}}, Fail, AssociationRejected, "protocol version", []dicom.PDUType{rq}},
		"aborted at once":     {script{rq: dicom.Abort{Source: 2}}, Fail, AssociationAborted, "aborted the association request", []dicom.PDUType{rq}},
		"no verification":     {script{rq: accepted(dicom.ContextAbstractSyntax), release: dicom.ReleaseRP{}}, Fail, VerificationRefused, dicom.VerificationUID, []dicom.PDUType{rq, release}},
		"status":              {script{rq: ac, data: echoed(t, 0x0110), release: dicom.ReleaseRP{}}, Fail, EchoStatus, "processing failure", []dicom.PDUType{rq, data, release}},
		"wrong PDU":           {script{rq: ok}, Fail, ProtocolError, "unexpected P-DATA-TF", []dicom.PDUType{rq, abort}},
		"silent":              {nil, Fail, ResponseTimeout, "waiting for the association to be accepted", []dicom.PDUType{rq, abort}},
		"silent at the echo":  {script{rq: ac}, Fail, ResponseTimeout, "waiting for the answer to C-ECHO", []dicom.PDUType{rq, data, abort}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan []dicom.PDUType, 1)
			at := serve(t, scp(tc.answers, got))
			c := echoCheck
			if tc.reason == ResponseTimeout {
				c.Timeout = 2 * time.Second
			}
			r := probeOnce(t, at, c)
			if r.Grade != tc.grade || r.Reason != tc.reason || !strings.Contains(r.Message, tc.says) {
				t.Errorf("got %+v", r)
			}
			if r.Reason != "" && !strings.HasPrefix(r.Message, "DICOM C-ECHO to "+at.String()+": ") {
				t.Errorf("message does not say where: %s", r.Message)
			}
			if diff := cmp.Diff(tc.sent, <-got); diff != "" {
				t.Errorf("server received: %s", diff)
			}
		})
	}
}

func TestDICOMEchoAgainstOtherProtocols(t *testing.T) {
	cases := map[string]struct {
		handle func(net.Conn)
		reason Reason
	}{
		"web server": {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); drain(c) }, ProtocolError},
		"closes":     {func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, ConnectionClosed},
		"resets":     {func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _ = c.(*net.TCPConn).SetLinger(0) }, ConnectionReset},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if r := probeOnce(t, serve(t, tc.handle), echoCheck); r.Grade != Fail || r.Reason != tc.reason {
				t.Errorf("got %+v", r)
			}
		})
	}
	if r := probeOnce(t, loopback.Refusing(t), echoCheck); r.Reason != ConnectionRefused {
		t.Errorf("closed port: %+v", r)
	}
}

// The requestor closes only after the answer to its release (PS3.8 section 7.2).
func TestReleaseIsWaitedFor(t *testing.T) {
	early := make(chan bool, 1)
	at := serve(t, func(c net.Conn) {
		answers := map[dicom.PDUType]dicom.PDU{dicom.TypeAssociateRQ: accepted(0), dicom.TypePData: echoed(t, 0)}
		scp(answers, make(chan []dicom.PDUType, 1))(&untilRelease{Conn: c})
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		early <- !errors.Is(err, os.ErrDeadlineExceeded)
		out, _ := dicom.ReleaseRP{}.Append(nil)
		_, _ = c.Write(out)
	})
	if r := probeOnce(t, at, echoCheck); r != (Result{}) || <-early {
		t.Errorf("closed before the release was answered; %+v", r)
	}
}

// untilRelease is a connection that ends for its reader once an A-RELEASE-RQ has come.
type untilRelease struct {
	net.Conn
	over bool
}

func (u *untilRelease) Read(b []byte) (int, error) {
	if u.over {
		return 0, io.EOF
	}
	n, err := u.Conn.Read(b)
	u.over = n > 0 && dicom.PDUType(b[0]) == dicom.TypeReleaseRQ
	return n, err
}

// Closing the Monitor in mid-association tells the server.
func TestCloseAbortsTheAssociation(t *testing.T) {
	got := make(chan []dicom.PDUType, 1)
	asked := make(chan struct{})
	at := serve(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		close(asked)
		scp(nil, got)(&replay{Conn: c, first: b[:n]})
	})
	m := NewMonitor(Config{})
	defer m.Close()
	c := echoCheck
	c.Port, c.Timeout = at.Port(), time.Minute
	m.Set([]Target{{Key: "a", Address: at.Addr(), Checks: []Check{c}}})
	<-asked
	m.Close()
	if diff := cmp.Diff([]dicom.PDUType{dicom.TypeAssociateRQ, dicom.TypeAbort}, <-got); diff != "" {
		t.Error(diff)
	}
}

// replay is a connection whose first read returns bytes that were read before.
type replay struct {
	net.Conn
	first []byte
}

func (r *replay) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}
