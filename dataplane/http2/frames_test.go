package http2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	xhttp2 "golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/http2"
)

func raw(p *peer, kind xhttp2.FrameType, flags xhttp2.Flags, id uint32, payload string) {
	p.WriteRawFrame(kind, flags, id, []byte(payload))
}

func setting(id xhttp2.SettingID, value uint32) func(p *peer) {
	return func(p *peer) { p.WriteSettings(xhttp2.Setting{ID: id, Val: value}) }
}

// frames are what a peer may send after a request without end on stream 1, one with its end on
// 3, one that ended on 5, one that the peer reset on 7 and one that we reset on 9.
var frames = map[string]struct {
	send func(p *peer)
	want string // frames that come back
}{
	"frame too large":         {func(p *peer) { raw(p, xhttp2.FrameData, 0, 1, strings.Repeat("x", 16385)) }, "GOAWAY FRAME_SIZE_ERROR"},
	"unknown frame too large": {func(p *peer) { raw(p, 99, 0, 1, strings.Repeat("x", 16385)) }, "GOAWAY FRAME_SIZE_ERROR"},
	"unknown frame":           {func(p *peer) { raw(p, 99, 0xff, 77, "anything") }, ""},
	"unknown frame, empty":    {func(p *peer) { raw(p, 99, 0xff, 77, "") }, ""},
	"unknown flags":           {func(p *peer) { raw(p, xhttp2.FramePing, 0xf2, 0, "12345678") }, "PING ack=true 12345678"},

	"DATA on the connection":     {func(p *peer) { raw(p, xhttp2.FrameData, 0, 0, "x") }, "GOAWAY PROTOCOL_ERROR"},
	"DATA on an idle stream":     {func(p *peer) { p.WriteData(11, false, []byte("x")) }, "GOAWAY PROTOCOL_ERROR"},
	"DATA on a server's stream":  {func(p *peer) { p.WriteData(2, false, []byte("x")) }, "GOAWAY PROTOCOL_ERROR"},
	"DATA after the end":         {func(p *peer) { p.WriteData(3, false, []byte("x")) }, "RST_STREAM 3 STREAM_CLOSED"},
	"DATA after both ends":       {func(p *peer) { p.WriteData(5, false, []byte("x")) }, "GOAWAY STREAM_CLOSED"},
	"DATA after their reset":     {func(p *peer) { p.WriteData(7, false, []byte("x")) }, "RST_STREAM 7 STREAM_CLOSED"},
	"DATA after our reset":       {func(p *peer) { p.WriteData(9, false, []byte("x")) }, ""},
	"DATA, only padding":         {func(p *peer) { raw(p, xhttp2.FrameData, 8, 1, "\x03\x00\x00\x00") }, ""},
	"DATA, more padding":         {func(p *peer) { raw(p, xhttp2.FrameData, 8, 1, "\x04\x00\x00\x00") }, "GOAWAY PROTOCOL_ERROR"},
	"DATA, no length of padding": {func(p *peer) { raw(p, xhttp2.FrameData, 8, 1, "") }, "GOAWAY FRAME_SIZE_ERROR"},

	"HEADERS on the connection":        {func(p *peer) { p.request(0, "GET", true) }, "GOAWAY PROTOCOL_ERROR"},
	"HEADERS on a server's stream":     {func(p *peer) { p.request(12, "GET", true) }, "GOAWAY PROTOCOL_ERROR"},
	"HEADERS after the end":            {func(p *peer) { p.request(3, "GET", true) }, "RST_STREAM 3 STREAM_CLOSED"},
	"HEADERS after both ends":          {func(p *peer) { p.request(5, "GET", true) }, "GOAWAY STREAM_CLOSED"},
	"HEADERS after their reset":        {func(p *peer) { p.request(7, "GET", true) }, "RST_STREAM 7 STREAM_CLOSED"},
	"HEADERS after our reset":          {func(p *peer) { p.request(9, "GET", true) }, ""},
	"HEADERS on a number left out":     {func(p *peer) { p.request(21, "GET", true); p.request(19, "GET", true) }, "GOAWAY PROTOCOL_ERROR"},
	"HEADERS, more padding":            {func(p *peer) { raw(p, xhttp2.FrameHeaders, 8|4, 11, "\x01") }, "GOAWAY PROTOCOL_ERROR"},
	"HEADERS, no length of padding":    {func(p *peer) { raw(p, xhttp2.FrameHeaders, 8|4, 11, "") }, "GOAWAY FRAME_SIZE_ERROR"},
	"HEADERS, cut priority":            {func(p *peer) { raw(p, xhttp2.FrameHeaders, 0x20|4, 11, "\x00\x00\x00\x00") }, "GOAWAY FRAME_SIZE_ERROR"},
	"HEADERS, depends on itself":       {func(p *peer) { raw(p, xhttp2.FrameHeaders, 0x20|4|1, 11, "\x00\x00\x00\x0b\x00\x82\x87\x84\x41\x01a") }, "RST_STREAM 11 PROTOCOL_ERROR"},
	"HEADERS, cannot be decoded":       {func(p *peer) { raw(p, xhttp2.FrameHeaders, 4|1, 11, "\xff\xff\xff\xff\xff\x0f") }, "GOAWAY COMPRESSION_ERROR"},
	"HEADERS, field cut off":           {func(p *peer) { raw(p, xhttp2.FrameHeaders, 4|1, 11, "\x82\x41\x05a") }, "GOAWAY COMPRESSION_ERROR"},
	"HEADERS, table too large":         {func(p *peer) { raw(p, xhttp2.FrameHeaders, 4|1, 11, "\x3f\xe2\x1f\x82") }, "GOAWAY COMPRESSION_ERROR"},
	"CONTINUATION by itself":           {func(p *peer) { p.WriteContinuation(1, true, nil) }, "GOAWAY PROTOCOL_ERROR"},
	"CONTINUATION on another stream":   {func(p *peer) { raw(p, xhttp2.FrameHeaders, 1, 11, "\x82"); p.WriteContinuation(13, true, nil) }, "GOAWAY PROTOCOL_ERROR"},
	"something else than CONTINUATION": {func(p *peer) { raw(p, xhttp2.FrameHeaders, 1, 11, "\x82"); p.WriteData(1, false, nil) }, "GOAWAY PROTOCOL_ERROR"},
	"unknown instead of CONTINUATION":  {func(p *peer) { raw(p, xhttp2.FrameHeaders, 1, 11, "\x82"); raw(p, 99, 0, 11, "") }, "GOAWAY PROTOCOL_ERROR"},

	"PRIORITY":                         {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 1, "\x00\x00\x00\x00\x10") }, ""},
	"PRIORITY on an idle stream":       {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 99, "\x00\x00\x00\x00\x10") }, ""},
	"PRIORITY on the connection":       {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 0, "\x00\x00\x00\x01\x10") }, "GOAWAY PROTOCOL_ERROR"},
	"PRIORITY of 4 bytes":              {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 1, "\x00\x00\x00\x00") }, "RST_STREAM 1 FRAME_SIZE_ERROR"},
	"PRIORITY of 4 bytes, idle stream": {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 99, "\x00\x00\x00\x00") }, "GOAWAY FRAME_SIZE_ERROR"},
	"PRIORITY, depends on itself":      {func(p *peer) { raw(p, xhttp2.FramePriority, 0, 1, "\x80\x00\x00\x01\x10") }, "RST_STREAM 1 PROTOCOL_ERROR"},

	"RST_STREAM":                   {func(p *peer) { p.WriteRSTStream(1, xhttp2.ErrCodeCancel) }, ""},
	"RST_STREAM on the connection": {func(p *peer) { raw(p, xhttp2.FrameRSTStream, 0, 0, "\x00\x00\x00\x08") }, "GOAWAY PROTOCOL_ERROR"},
	"RST_STREAM on an idle stream": {func(p *peer) { p.WriteRSTStream(11, xhttp2.ErrCodeCancel) }, "GOAWAY PROTOCOL_ERROR"},
	"RST_STREAM of 3 bytes":        {func(p *peer) { raw(p, xhttp2.FrameRSTStream, 0, 1, "\x00\x00\x00") }, "GOAWAY FRAME_SIZE_ERROR"},
	"RST_STREAM after both ends":   {func(p *peer) { p.WriteRSTStream(5, xhttp2.ErrCodeCancel) }, ""},
	"RST_STREAM after our reset":   {func(p *peer) { p.WriteRSTStream(9, xhttp2.ErrCodeCancel) }, ""},

	"SETTINGS":                        {setting(0xf0, 1), "SETTINGS ack"},
	"SETTINGS ack":                    {func(p *peer) { p.WriteSettingsAck() }, ""},
	"SETTINGS ack with a payload":     {func(p *peer) { raw(p, xhttp2.FrameSettings, 1, 0, "\x00\x03\x00\x00\x00\x01") }, "GOAWAY FRAME_SIZE_ERROR"},
	"SETTINGS on a stream":            {func(p *peer) { raw(p, xhttp2.FrameSettings, 0, 1, "") }, "GOAWAY PROTOCOL_ERROR"},
	"SETTINGS of 5 bytes":             {func(p *peer) { raw(p, xhttp2.FrameSettings, 0, 0, "\x00\x03\x00\x00\x00") }, "GOAWAY FRAME_SIZE_ERROR"},
	"SETTINGS, push of 2":             {setting(xhttp2.SettingEnablePush, 2), "GOAWAY PROTOCOL_ERROR"},
	"SETTINGS, extended CONNECT of 2": {setting(xhttp2.SettingEnableConnectProtocol, 2), "GOAWAY PROTOCOL_ERROR"},
	"SETTINGS, window of 2^31":        {setting(xhttp2.SettingInitialWindowSize, 1<<31), "GOAWAY FLOW_CONTROL_ERROR"},
	"SETTINGS, window of 2^31-1":      {setting(xhttp2.SettingInitialWindowSize, 1<<31-1), "SETTINGS ack"},
	"SETTINGS, frames of 16383":       {setting(xhttp2.SettingMaxFrameSize, 16383), "GOAWAY PROTOCOL_ERROR"},
	"SETTINGS, frames of 2^24":        {setting(xhttp2.SettingMaxFrameSize, 1<<24), "GOAWAY PROTOCOL_ERROR"},
	"SETTINGS, window grows too large": {func(p *peer) {
		p.WriteWindowUpdate(1, 1<<31-1-65535)
		setting(xhttp2.SettingInitialWindowSize, 65536)(p)
	}, "GOAWAY FLOW_CONTROL_ERROR"},

	"PUSH_PROMISE":       {func(p *peer) { raw(p, xhttp2.FramePushPromise, 4, 1, "\x00\x00\x00\x02\x82") }, "GOAWAY PROTOCOL_ERROR"},
	"PING":               {func(p *peer) { p.WritePing(false, [8]byte{'a'}) }, "PING ack=true a\x00\x00\x00\x00\x00\x00\x00"},
	"PING ack":           {func(p *peer) { p.WritePing(true, [8]byte{'a'}) }, ""},
	"PING on a stream":   {func(p *peer) { raw(p, xhttp2.FramePing, 0, 1, "12345678") }, "GOAWAY PROTOCOL_ERROR"},
	"PING of 7 bytes":    {func(p *peer) { raw(p, xhttp2.FramePing, 0, 0, "1234567") }, "GOAWAY FRAME_SIZE_ERROR"},
	"GOAWAY":             {func(p *peer) { p.WriteGoAway(0, xhttp2.ErrCodeNo, []byte("bye")) }, ""},
	"GOAWAY on a stream": {func(p *peer) { raw(p, xhttp2.FrameGoAway, 0, 1, "12345678") }, "GOAWAY PROTOCOL_ERROR"},
	"GOAWAY of 7 bytes":  {func(p *peer) { raw(p, xhttp2.FrameGoAway, 0, 0, "1234567") }, "GOAWAY FRAME_SIZE_ERROR"},

	"WINDOW_UPDATE":                       {func(p *peer) { p.WriteWindowUpdate(0, 1<<31-1-65535); p.WriteWindowUpdate(1, 1<<31-1-65535) }, ""},
	"WINDOW_UPDATE of 3 bytes":            {func(p *peer) { raw(p, xhttp2.FrameWindowUpdate, 0, 0, "\x00\x00\x01") }, "GOAWAY FRAME_SIZE_ERROR"},
	"WINDOW_UPDATE by 0":                  {func(p *peer) { p.WriteWindowUpdate(0, 0) }, "GOAWAY PROTOCOL_ERROR"},
	"WINDOW_UPDATE by 0 of a stream":      {func(p *peer) { p.WriteWindowUpdate(1, 0) }, "RST_STREAM 1 PROTOCOL_ERROR"},
	"WINDOW_UPDATE too large":             {func(p *peer) { p.WriteWindowUpdate(0, 1<<31-65535) }, "GOAWAY FLOW_CONTROL_ERROR"},
	"WINDOW_UPDATE too large of a stream": {func(p *peer) { p.WriteWindowUpdate(1, 1<<31-65535) }, "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	"WINDOW_UPDATE on an idle stream":     {func(p *peer) { p.WriteWindowUpdate(11, 1) }, "GOAWAY PROTOCOL_ERROR"},
	"WINDOW_UPDATE after both ends":       {func(p *peer) { p.WriteWindowUpdate(5, 1) }, ""},
	"WINDOW_UPDATE after their reset":     {func(p *peer) { p.WriteWindowUpdate(7, 1) }, ""},
}

func TestFrames(t *testing.T) {
	for name, tc := range frames {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{})
			p.request(1, "PUT", false)
			for id := uint32(3); id < 11; id += 2 {
				p.request(id, "GET", id == 3 || id == 5)
			}
			p.feed()
			p.h.streams[5].Respond(204, nil, true)
			p.h.streams[9].Reset(http2.Cancel)
			p.WriteRSTStream(7, xhttp2.ErrCodeCancel)
			p.feed()
			p.take()
			p.h.take()

			tc.send(p)
			p.feed()
			got := strings.Join(p.take(), "; ")
			if code, ok := strings.CutPrefix(tc.want, "GOAWAY "); ok {
				if !strings.HasPrefix(got, "GOAWAY ") || !strings.Contains(got, code) || p.feedErr == nil || !strings.Contains(p.feedErr.Error(), code) {
					t.Errorf("got %q, %v", got, p.feedErr)
				}
				if p.c.Streams() != 0 || !p.c.Ended() {
					t.Error("streams outlive the connection")
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || p.feedErr != nil {
				t.Errorf("%s%v", diff, p.feedErr)
			}
		})
	}
}

// TestStart: what comes first on a connection, RFC 9113 section 3.4.
func TestStart(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string
	}{
		"HTTP/1.1":        {"GET / HTTP/1.1\r\n\r\n", "PROTOCOL_ERROR"},
		"almost":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", "PROTOCOL_ERROR"},
		"no SETTINGS":     {xhttp2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "PROTOCOL_ERROR"},
		"unknown frame":   {xhttp2.ClientPreface + "\x00\x00\x00\x63\x00\x00\x00\x00\x00", "PROTOCOL_ERROR"},
		"acknowledgement": {xhttp2.ClientPreface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00", "PROTOCOL_ERROR"},
		"in order":        {xhttp2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
		"reserved bit":    {xhttp2.ClientPreface + "\x00\x00\x00\x04\x00\x80\x00\x00\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, http2.Config{ExtendedConnect: true})
			start := []string{"SETTINGS 3=128 4=262144 6=32768 9=1 8=1", "WINDOW_UPDATE 0 983041"}
			if diff := cmp.Diff(start, p.take()); diff != "" {
				t.Error(diff)
			}
			p.in.WriteString(tc.in)
			p.feed()
			got := strings.Join(p.take(), "; ")
			if tc.want == "" && (p.feedErr != nil || got != "SETTINGS ack") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, %v", got, p.feedErr)
			}
		})
	}
}

// TestResetToldOnce: whoever resets a stream, the handler is told by Reset unless it did it.
func TestResetToldOnce(t *testing.T) {
	p := connected(t, http2.Config{})
	for id := uint32(1); id < 9; id += 2 {
		p.request(id, "PUT", false)
	}
	p.feed()
	p.h.take()
	p.h.streams[1].Reset(http2.InternalError)
	p.WriteRSTStream(3, xhttp2.ErrCodeCancel)
	p.WriteWindowUpdate(5, 0)
	p.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	p.feed()
	if p.c.Streams() != 1 {
		t.Errorf("%d streams", p.c.Streams())
	}
	p.c.Abort()
	want := []string{"reset 3 CANCEL", "reset 5 PROTOCOL_ERROR", "reset 7 CANCEL"}
	if diff := cmp.Diff(want, p.h.take()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"RST_STREAM 1 INTERNAL_ERROR", "RST_STREAM 5 PROTOCOL_ERROR"}, p.take()); diff != "" {
		t.Error(diff)
	}
	if p.c.Feed(nil) == nil || p.c.Streams() != 0 {
		t.Error("the connection is in use after Abort")
	}
}
