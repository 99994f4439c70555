package dicom

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// addPDUs adds every PDU of the recordings, and the recordings whole.
func addPDUs(f *testing.F, add func([]byte)) {
	f.Helper()
	for _, stream := range allCaptured(f) {
		add(stream)
		for rest := stream; len(rest) > 0; {
			h, err := ParseHeader(rest)
			if err != nil {
				f.Fatal(err)
			}
			end := HeaderLength + int(h.Length)
			add(rest[:end])
			rest = rest[end:]
		}
	}
}

// FuzzPDU: whatever parses encodes again to something that parses to the same, and how a stream
// is cut into pieces changes nothing.
func FuzzPDU(f *testing.F) {
	addPDUs(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, encoded, wholeErr := decodeAll(stream, len(stream)+1, Limits{})
		_, again, splitErr := decodeAll(stream, 3, Limits{})
		if (wholeErr == nil) != (splitErr == nil) || !cmp.Equal(encoded, again) {
			t.Fatalf("whole: %d PDUs, %v; in pieces: %d PDUs, %v", len(encoded), wholeErr, len(again), splitErr)
		}
		for i, raw := range encoded {
			pdu, err := ParsePDU(raw, Limits{})
			if err != nil {
				t.Fatalf("encoded %v does not parse: %v", whole[i].Type(), err)
			}
			second, err := pdu.Append(nil)
			if err != nil || !bytes.Equal(raw, second) {
				t.Fatalf("%v changes on the second round: %v", pdu.Type(), err)
			}
		}
		for _, p := range whole {
			if d, ok := p.(PData); ok {
				for _, v := range d.PDVs {
					fuzzCommand(t, v.Data)
				}
			}
		}
	})
}

// fuzzCommand checks that a command set that parses survives being encoded.
func fuzzCommand(t *testing.T, b []byte) {
	c, err := ParseCommand(b)
	if err != nil {
		return
	}
	if c.IsResponse() {
		c.MessageID = 0
	} else {
		c.RespondedTo, c.Status = 0, 0
	}
	raw, err := c.Append(nil)
	if err != nil {
		t.Fatalf("%+v does not encode: %v", c, err)
	}
	if again, err := ParseCommand(raw); err != nil || again != c {
		t.Fatalf("%+v became %+v, %v", c, again, err)
	}
}

// FuzzEcho: whatever a server sends, the requestor ends or waits, sends only well-formed PDUs, keeps
// its first outcome, and does not care how the bytes are cut, nor what was said in the conversation before.
func FuzzEcho(f *testing.F) {
	addPDUs(f, func(b []byte) { f.Add(b, uint8(1)); f.Add(b, uint8(200)) })
	f.Fuzz(func(t *testing.T, server []byte, piece uint8) {
		whole, split := newEcho(t), newEcho(t)
		a := converse(t, whole, server, len(server)+1)
		b := converse(t, split, server, int(piece)+1)
		if !cmp.Equal(a, b) || whole.Stage() != split.Stage() || outcomeText(whole) != outcomeText(split) {
			t.Fatalf("whole: sent %v, %v; in pieces: sent %v, %v", a, outcomeText(whole), b, outcomeText(split))
		}
		for _, piece := range []int{pduByPDU, pduByPDU, int(piece) + 1} {
			split.plan.Again(split)
			if c := converse(t, split, server, piece); !cmp.Equal(a, c) || whole.Stage() != split.Stage() || outcomeText(whole) != outcomeText(split) {
				t.Fatalf("whole: sent %v, %v; again in pieces of %d: sent %v, %v", a, outcomeText(whole), piece, c, outcomeText(split))
			}
		}
		if whole.Done() && whole.Outcome() == nil {
			t.Fatal("done without an outcome")
		}
		before := outcomeText(whole)
		whole.PeerClosed()
		if before != "" && outcomeText(whole) != before {
			t.Fatalf("outcome changed from %q to %q", before, outcomeText(whole))
		}
		if whole.Outcome() == nil || !whole.Done() {
			t.Fatal("no outcome after the connection ended")
		}
	})
}

func outcomeText(r *EchoRequestor) string {
	if r.Outcome() == nil {
		return ""
	}
	return r.Outcome().String()
}
