package http2_test

import (
	"testing"

	"github.com/truepacs/balancer/dataplane/http2"
)

// TestShutdown: requests that are under way are answered, later ones can be repeated elsewhere.
func TestShutdown(t *testing.T) {
	p := connected(t, http2.Config{})
	p.request(1, "GET", true)
	p.feed()
	p.c.Shutdown()
	same(t, "announced", []string{"GOAWAY 2147483647 NO_ERROR ", "PING ack=false farewell"}, p.take())
	p.request(3, "GET", true)
	p.WritePing(true, [8]byte([]byte("farewell")))
	p.request(5, "GET", true)
	p.feed()
	same(t, "acknowledged", []string{"GOAWAY 3 NO_ERROR ", "RST_STREAM 5 REFUSED_STREAM"}, p.take())
	if p.c.Ended() || p.c.Streams() != 2 {
		t.Error("ended before its streams")
	}
	p.h.streams[1].Respond(200, nil, true)
	p.h.streams[3].Respond(200, nil, true)
	same(t, "answered", []string{"HEADERS 1 :status=200 end", "HEADERS 3 :status=200 end"}, p.take())
	if !p.c.Ended() {
		t.Error("not ended after its streams")
	}
	p.c.Shutdown()
	same(t, "again", nil, p.take())
	p.WriteData(7, false, nil)
	p.feed()
	same(t, "an error at last", []string{"GOAWAY 3 PROTOCOL_ERROR DATA on an idle stream"}, p.take())
}

// TestShutdownByForce does not wait for the acknowledgement.
func TestShutdownByForce(t *testing.T) {
	p := connected(t, http2.Config{})
	p.c.Shutdown()
	p.WritePing(true, [8]byte([]byte("whatever")))
	p.feed()
	p.take()
	if p.c.Ended() {
		t.Error("ended by an acknowledgement of something else")
	}
	p.c.Shutdown()
	same(t, "second call", []string{"GOAWAY 0 NO_ERROR "}, p.take())
	if !p.c.Ended() {
		t.Error("not ended")
	}
}
