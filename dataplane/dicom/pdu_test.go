package dicom

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestHeaderCheck(t *testing.T) {
	l := Limits{Associate: 1000, PData: 500}
	cases := map[string]struct {
		h    Header
		want error
	}{
		"rj":                {Header{TypeAssociateRJ, 4}, nil},
		"rj long":           {Header{TypeAssociateRJ, 5}, ErrMalformed},
		"abort short":       {Header{TypeAbort, 3}, ErrMalformed},
		"release 4 GiB":     {Header{TypeReleaseRQ, 1<<32 - 1}, ErrMalformed},
		"rq least":          {Header{TypeAssociateRQ, 68}, nil},
		"rq short":          {Header{TypeAssociateRQ, 67}, ErrMalformed},
		"ac at the limit":   {Header{TypeAssociateAC, 1000}, nil},
		"ac over the limit": {Header{TypeAssociateAC, 1001}, ErrTooLarge},
		"data least":        {Header{TypePData, 6}, nil},
		"data short":        {Header{TypePData, 5}, ErrMalformed},
		"data too long":     {Header{TypePData, 501}, ErrTooLarge},
		"data 4 GiB":        {Header{TypePData, 1<<32 - 1}, ErrTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := tc.h.Check(l); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestParsePDURefuses(t *testing.T) {
	echo := captured(t, "orthanc-echo.reply")
	ac := echo[:6+0xb8]
	cut := func(at int, with ...byte) []byte {
		b := append([]byte(nil), ac...)
		copy(b[at:], with)
		return b
	}
	cases := map[string]struct {
		raw  []byte
		want error
	}{
		"empty":                  {nil, ErrShort},
		"http":                   {[]byte("HTTP/1.1 400 Bad Request"), ErrNotDICOM},
		"tls alert":              {[]byte{0x15, 3, 3, 0, 2, 2, 70}, ErrNotDICOM},
		"header only":            {ac[:6], ErrShort},
		"cut":                    {ac[:len(ac)-1], ErrShort},
		"trailing byte":          {append(cut(0), 0), ErrMalformed},
		"item past the end":      {cut(76, 0xff, 0xff), ErrMalformed},
		"inner item too long":    {cut(0x6d, 0xff), ErrMalformed},
		"item one byte too long": {cut(len(ac)-16, 16), ErrMalformed},
		"even context":           {cut(0x67, 2), ErrMalformed},
		"no context item":        {cut(0x63, 0x7f), ErrMalformed},
		"no application item":    {cut(74, 0x7f), ErrMalformed},
		"no user item":           {cut(0x80, 0x7f), ErrMalformed},
		"user item twice":        {cut(74, 0x50), ErrMalformed},
		"uid with letters":       {cut(78, 'x'), ErrMalformed},
		"uid with empty part":    {cut(78, '.'), ErrMalformed},
		"max length of 3 bytes":  {cut(0x87, 3, 0, 0, 0x40, 0), ErrMalformed},
		"pdv of 1 byte":          {[]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3}, ErrMalformed},
		"pdv past the end":       {[]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 3, 1, 3}, ErrMalformed},
		"pdv of 4 GiB":           {[]byte{4, 0, 0, 0, 0, 6, 255, 255, 255, 255, 1, 3}, ErrMalformed},
		"pdv context even":       {[]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 2, 3}, ErrMalformed},
		"second pdv cut":         {[]byte{4, 0, 0, 0, 0, 9, 0, 0, 0, 2, 1, 3, 0, 0, 0}, ErrMalformed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pdu, err := ParsePDU(tc.raw, Limits{})
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v, want %v", pdu, err, tc.want)
			}
		})
	}
}

// A claimed length must cost nothing: the decoder of a 1 MiB claim holds what has arrived.
func TestDecoderHoldsOnlyWhatArrived(t *testing.T) {
	d := NewDecoder(Limits{})
	d.Feed([]byte{1, 0, 0, 0x10, 0, 0, 0, 1})
	if pdu, err := d.Next(); pdu != nil || err != nil {
		t.Fatalf("got %v, %v", pdu, err)
	}
	if d.Buffered() != 8 || cap(d.buf) > 64 {
		t.Errorf("%d bytes buffered in %d", d.Buffered(), cap(d.buf))
	}
}

func TestDecoderErrorIsFinal(t *testing.T) {
	d := NewDecoder(Limits{})
	d.Feed([]byte("GET / HTTP/1.1\r\n"))
	_, first := d.Next()
	d.Feed([]byte{6, 0, 0, 0, 0, 4, 0, 0, 0, 0})
	_, second := d.Next()
	if !errors.Is(first, ErrNotDICOM) || first != second {
		t.Errorf("got %v, then %v", first, second)
	}
}

func TestNextPDVAllocatesNothing(t *testing.T) {
	raw, err := PData{PDVs: []PDV{{ContextID: 1, Data: make([]byte, 100)}, {ContextID: 3, Last: true}}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(100, func() {
		for rest := raw[HeaderLength:]; len(rest) > 0; {
			_, rest, err = NextPDV(rest)
		}
	})
	if got != 0 || err != nil {
		t.Errorf("%v allocations, %v", got, err)
	}
}

func TestUserItemsShowNoCredentials(t *testing.T) {
	u := UserInformation{Other: []UserItem{{Type: 0x58, Data: []byte("hunter2")}}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, u); strings.Contains(s, "hunter2") || strings.Contains(s, "104") || strings.Contains(s, "0x68") {
			t.Errorf("%s shows the data: %s", format, s)
		}
	}
}

func genUID(t *rapid.T) string {
	return rapid.StringMatching(`[0-9]{1,9}(\.[0-9]{1,9}){0,5}`).Draw(t, "uid")
}

func genUser(t *rapid.T) UserInformation {
	u := UserInformation{
		MaxPDULength:              rapid.Uint32().Draw(t, "max"),
		ImplementationClassUID:    genUID(t),
		ImplementationVersionName: rapid.StringMatching(`[A-Z0-9_]{0,16}`).Draw(t, "version"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "others") {
		u.Other = append(u.Other, UserItem{
			Type: rapid.SampledFrom([]byte{0x53, 0x54, 0x56, 0x58, 0xff}).Draw(t, "type"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data"),
		})
	}
	return u
}

func genField(t *rapid.T) AEField {
	return AEField(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ae"))
}

func genRQ(t *rapid.T) PDU {
	rq := &AssociateRQ{ProtocolVersion: 1, CalledAE: genField(t), CallingAE: genField(t), ApplicationContext: genUID(t), User: genUser(t)}
	for i := range rapid.IntRange(1, maxContexts).Draw(t, "contexts") {
		rq.Contexts = append(rq.Contexts, ProposedContext{
			ID: byte(2*i + 1), AbstractSyntax: genUID(t), TransferSyntaxes: []string{genUID(t), genUID(t)},
		})
	}
	return rq
}

func genAC(t *rapid.T) PDU {
	ac := &AssociateAC{ProtocolVersion: 1, CalledAE: genField(t), CallingAE: genField(t), ApplicationContext: genUID(t), User: genUser(t)}
	for i := range rapid.IntRange(1, 10).Draw(t, "contexts") {
		c := ContextResult{ID: byte(2*i + 1), Result: ContextAnswer(rapid.IntRange(0, 5).Draw(t, "result"))}
		if c.Result == ContextAccepted {
			c.TransferSyntax = genUID(t)
		}
		ac.Contexts = append(ac.Contexts, c)
	}
	return ac
}

func genPData(t *rapid.T) PDU {
	var p PData
	for range rapid.IntRange(1, 4).Draw(t, "pdvs") {
		p.PDVs = append(p.PDVs, PDV{
			ContextID: rapid.Byte().Draw(t, "id") | 1, Command: rapid.Bool().Draw(t, "command"),
			Last: rapid.Bool().Draw(t, "last"), Data: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "data"),
		})
	}
	return p
}

func genPDU(t *rapid.T) PDU {
	return rapid.OneOf(
		rapid.Custom(genRQ), rapid.Custom(genAC), rapid.Custom(genPData),
		rapid.Custom(func(t *rapid.T) PDU {
			return AssociateRJ{rapid.Byte().Draw(t, "result"), rapid.Byte().Draw(t, "source"), rapid.Byte().Draw(t, "reason")}
		}),
		rapid.Custom(func(t *rapid.T) PDU {
			return Abort{rapid.Byte().Draw(t, "source"), rapid.Byte().Draw(t, "reason")}
		}),
		rapid.Just[PDU](ReleaseRQ{}), rapid.Just[PDU](ReleaseRP{}),
	).Draw(t, "pdu")
}

func TestEveryPDURoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genPDU(t)
		prefix := []byte("kept")
		raw, err := want.Append(prefix)
		if err != nil || string(raw[:4]) != "kept" {
			t.Fatalf("Append: %v", err)
		}
		got, err := ParsePDU(raw[4:], Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAppendRefusesAndKeepsDst(t *testing.T) {
	good := func() *AssociateRQ { return echoRequest("A", "B", 16384) }
	long := good()
	long.User.Other = []UserItem{{Type: 0x58, Data: make([]byte, 70000)}}
	even := good()
	even.Contexts[0].ID = 2
	bare := good()
	bare.Contexts[0].TransferSyntaxes = nil
	uid := good()
	uid.ApplicationContext = "1..2"
	cases := map[string]struct {
		pdu  PDU
		want error
	}{
		"item over 64 KiB":      {long, ErrTooLarge},
		"even context":          {even, ErrMalformed},
		"no transfer syntax":    {bare, ErrMalformed},
		"bad uid":               {uid, ErrMalformed},
		"no context":            {&AssociateAC{ApplicationContext: "1"}, ErrMalformed},
		"data without pdv":      {PData{}, ErrMalformed},
		"data, even context ID": {PData{PDVs: []PDV{{ContextID: 4}}}, ErrMalformed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.pdu.Append([]byte("dst"))
			if !errors.Is(err, tc.want) || string(got) != "dst" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
