package dicom

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// capturedCommand returns the command set of the last P-DATA in a recording.
func capturedCommand(t *testing.T, name string) []byte {
	t.Helper()
	pdus, _, err := decodeAll(captured(t, name), 1<<20, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pdus {
		if d, ok := p.(PData); ok {
			return d.PDVs[0].Data
		}
	}
	t.Fatalf("%s has no P-DATA", name)
	return nil
}

func TestParseCapturedCommands(t *testing.T) {
	cases := map[string]Command{
		"dcmtk-storescp-echo.request": {SOPClass: VerificationUID, Field: CEchoRQ, MessageID: 1},
		"dcmtk-storescp-echo.reply":   {SOPClass: VerificationUID, Field: CEchoRSP, RespondedTo: 1},
		"orthanc-echo.reply":          {SOPClass: VerificationUID, Field: CEchoRSP, RespondedTo: 1},
		"dcmtk-dcmqrscp-find.request": {SOPClass: "1.2.840.10008.5.1.4.1.2.2.1", Field: 0x0020, MessageID: 1, DataSet: true},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCommand(capturedCommand(t, name))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

func TestEchoCommandIsTheBytesOfDcmtk(t *testing.T) {
	got, err := Command{SOPClass: VerificationUID, Field: CEchoRQ, MessageID: 1}.Append(nil)
	if diff := cmp.Diff(capturedCommand(t, "dcmtk-storescp-echo.request"), got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestParseCommandRefuses(t *testing.T) {
	good, err := Command{Field: CEchoRSP, RespondedTo: 1}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		return b
	}
	join := func(parts ...[]byte) []byte {
		all := slices.Concat(parts...)
		return append([]byte{0, 0, 0, 0, 4, 0, 0, 0, byte(len(all)), 0, 0, 0}, all...)
	}
	field, to, dataSet, status := good[12:22], good[22:32], good[32:42], good[42:52]
	if _, err := ParseCommand(join(field, to, dataSet, status)); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"status before data set type": join(field, to, status, dataSet),
		"element twice":               join(field, to, dataSet, status, status),
		"odd length, unknown":         join(field, to, dataSet, status, []byte{0, 0, 2, 9, 1, 0, 0, 0, 'x'}),
		"empty":                       nil,
		"cut header":                  good[:7],
		"cut":                         good[:len(good)-1],
		"group length wrong":          with(8, 1),
		"first is not (0,0)":          with(2, 2),
		"element of 4 GiB":            append(append([]byte(nil), good[:12]...), 0, 0, 0, 1, 255, 255, 255, 255),
		"odd length":                  with(16, 1),
		"field of 4 bytes":            with(16, 4),
		"another group":               with(12, 8),
		"order":                       with(25, 0),
		"status missing":              append([]byte{0, 0, 0, 0, 4, 0, 0, 0, 30, 0, 0, 0}, good[12:42]...),
		"response misses reply":       with(24, 0x10),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			if c, err := ParseCommand(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestCommandRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Command{SOPClass: genUID(t), DataSet: rapid.Bool().Draw(t, "data")}
		want.Field = CommandField(rapid.Uint16().Draw(t, "field"))
		if want.IsResponse() {
			want.RespondedTo, want.Status = rapid.Uint16().Draw(t, "to"), Status(rapid.Uint16().Draw(t, "status"))
		} else {
			want.MessageID = rapid.Uint16().Draw(t, "id")
		}
		raw, err := want.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCommand(raw)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	})
}
