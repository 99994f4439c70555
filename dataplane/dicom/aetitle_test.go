package dicom

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAETitle(t *testing.T) {
	cases := map[string]struct {
		in   string
		want AETitle
		bad  bool
	}{
		"plain":             {in: "TRUEPACS", want: "TRUEPACS"},
		"sixteen":           {in: "ABCDEFGHIJKLMNOP", want: "ABCDEFGHIJKLMNOP"},
		"inner space kept":  {in: "MAIN PACS", want: "MAIN PACS"},
		"outer spaces go":   {in: "  PACS ", want: "PACS"},
		"lower case kept":   {in: "Pacs", want: "Pacs"},
		"empty":             {in: "", bad: true},
		"spaces only":       {in: "    ", bad: true},
		"seventeen":         {in: "ABCDEFGHIJKLMNOPQ", bad: true},
		"backslash":         {in: `A\B`, bad: true},
		"tab":               {in: "A\tB", bad: true},
		"delete":            {in: "A\x7fB", bad: true},
		"zero byte":         {in: "A\x00", bad: true},
		"not ASCII":         {in: "ÄPACS", bad: true},
		"seventeen, spaces": {in: "ABCDEFGHIJKLMNOP ", bad: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAETitle(tc.in)
			if got != tc.want || (err != nil) != tc.bad {
				t.Errorf("ParseAETitle(%q) = %q, %v", tc.in, got, err)
			}
			if err != nil && !errors.Is(err, ErrInvalidAETitle) {
				t.Errorf("error %v does not wrap ErrInvalidAETitle", err)
			}
		})
	}
}

func TestAETitleFieldRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		title, err := ParseAETitle(rapid.StringMatching(`[ -\[\]-~]{0,14}[!-\[\]-~]`).Draw(t, "title"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := title.Field().Title(); got != title || err != nil {
			t.Fatalf("%q became %q, %v", title, got, err)
		}
	})
}

func TestAEFieldOfAPeer(t *testing.T) {
	cases := map[string]struct {
		field string
		want  AETitle
		shown string
		bad   bool
	}{
		"spaces":  {field: "PACS            ", want: "PACS", shown: "PACS"},
		"zeros":   {field: "PACS\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", want: "PACS", shown: "PACS"},
		"nothing": {field: "                ", bad: true, shown: ""},
		"control": {field: "A\x1b[2J           ", bad: true, shown: "A?[2J"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := AEField([]byte(tc.field))
			got, err := f.Title()
			if got != tc.want || (err != nil) != tc.bad || f.String() != tc.shown {
				t.Errorf("got %q, %q, %v", got, f.String(), err)
			}
		})
	}
}
