package dicom

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// captured reads a recording; see testdata/captured/README.md.
func captured(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "captured", name+".bin"))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// allCaptured returns every recording by file name.
func allCaptured(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "captured", "*.bin"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no recordings: %v", err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(f)] = b
	}
	return all
}

// decodeAll feeds stream in pieces of the given size and returns all PDUs and the final error.
// Fragments of P-DATA are copied by re-encoding, since they alias the decoder's buffer.
func decodeAll(stream []byte, piece int, l Limits) (pdus []PDU, encoded [][]byte, err error) {
	d := NewDecoder(l)
	for len(stream) > 0 {
		n := min(piece, len(stream))
		d.Feed(stream[:n])
		stream = stream[n:]
		for {
			pdu, err := d.Next()
			if err != nil {
				return pdus, encoded, err
			}
			if pdu == nil {
				break
			}
			raw, err := pdu.Append(nil)
			if err != nil {
				return pdus, encoded, err
			}
			pdus, encoded = append(pdus, pdu), append(encoded, raw)
		}
	}
	return pdus, encoded, nil
}

func TestCapturedStreamsDecode(t *testing.T) {
	want := map[string][]PDUType{
		"dcmtk-dcmqrscp-called-refused.reply.bin":   {TypeAssociateRJ},
		"dcmtk-dcmqrscp-called-refused.request.bin": {TypeAssociateRQ},
		"dcmtk-dcmqrscp-echo.reply.bin":             {TypeAssociateAC, TypePData, TypeReleaseRP},
		"dcmtk-dcmqrscp-echo.request.bin":           {TypeAssociateRQ, TypePData, TypeReleaseRQ},
		"dcmtk-dcmqrscp-find.reply.bin":             {TypeAssociateAC, TypePData, TypeReleaseRP},
		"dcmtk-dcmqrscp-find.request.bin":           {TypeAssociateRQ, TypePData, TypePData, TypeReleaseRQ},
		"dcmtk-dcmqrscp-get.reply.bin":              {TypeAssociateAC, TypePData, TypeReleaseRP},
		"dcmtk-dcmqrscp-get.request.bin":            {TypeAssociateRQ, TypePData},
		"dcmtk-storescp-echo.reply.bin":             {TypeAssociateAC, TypePData, TypeReleaseRP},
		"dcmtk-storescp-echo.request.bin":           {TypeAssociateRQ, TypePData, TypeReleaseRQ},
		"dcmtk-storescp-store.reply.bin":            {TypeAssociateAC, TypePData, TypeReleaseRP},
		"dcmtk-storescp-store.request.bin":          {TypeAssociateRQ, TypePData},
		"orthanc-address-aborted.reply.bin":         {TypeAssociateAC, TypeAbort},
		"orthanc-address-aborted.request.bin":       {TypeAssociateRQ, TypePData},
		"orthanc-called-refused.reply.bin":          {TypeAssociateRJ},
		"orthanc-called-refused.request.bin":        {TypeAssociateRQ},
		"orthanc-calling-aborted.reply.bin":         {TypeAssociateAC, TypeAbort},
		"orthanc-calling-aborted.request.bin":       {TypeAssociateRQ, TypePData},
		"orthanc-echo.reply.bin":                    {TypeAssociateAC, TypePData, TypeReleaseRP},
		"orthanc-echo.request.bin":                  {TypeAssociateRQ, TypePData, TypeReleaseRQ},
	}
	got := map[string][]PDUType{}
	for name, stream := range allCaptured(t) {
		for _, piece := range []int{1, 7, len(stream)} {
			pdus, _, err := decodeAll(stream, piece, Limits{})
			if err != nil {
				t.Errorf("%s in pieces of %d: %v", name, piece, err)
			}
			got[name] = nil
			for _, p := range pdus {
				got[name] = append(got[name], p.Type())
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The association requests of dcmtk use reserved bytes (0xFF) that we write as zero; everything
// else must come back byte for byte.
func TestCapturedReplyRoundTripsByteForByte(t *testing.T) {
	for _, name := range []string{"orthanc-echo.reply", "dcmtk-dcmqrscp-echo.reply", "orthanc-called-refused.reply"} {
		stream := captured(t, name)
		_, encoded, err := decodeAll(stream, len(stream), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var again []byte
		for _, e := range encoded {
			again = append(again, e...)
		}
		if diff := cmp.Diff(stream, again); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestCapturedGetRequestFields(t *testing.T) {
	pdus, _, err := decodeAll(captured(t, "dcmtk-dcmqrscp-get.request"), 1000, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	rq := pdus[0].(*AssociateRQ)
	called, _ := rq.CalledAE.Title()
	calling, _ := rq.CallingAE.Title()
	got := []any{called, calling, rq.ApplicationContext, rq.User.MaxPDULength, rq.User.ImplementationVersionName}
	want := []any{AETitle("ARCHIVE"), AETitle("GETSCU"), ApplicationContextUID, uint32(16384), "OFFIS_DCMTK_367"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(rq.Contexts) < 100 || len(rq.User.Other) < 100 {
		t.Errorf("%d contexts, %d role items; getscu proposes more than 100 of each", len(rq.Contexts), len(rq.User.Other))
	}
}
