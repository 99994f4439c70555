package relay

import (
	"testing"
	"time"
)

// TestPatience is who is waited for, and how long, in each state of a pair.
func TestPatience(t *testing.T) {
	s := &Settings{Connect: 5, ClientIdle: 30, ServerIdle: 20}
	for name, tc := range map[string]struct {
		set   func(*Pair)
		limit time.Duration // HalfClosed
		want  time.Duration
		why   Reason
	}{
		"connecting":                   {set: func(p *Pair) { p.took = -1 }, want: 5, why: ServerTimeoutConn},
		"both may send":                {set: func(p *Pair) {}, want: 20, why: ServerTimeout},
		"the client does not read":     {set: func(p *Pair) { p.server.to = 9 }, want: 30, why: ClientTimeout},
		"the server does not read":     {set: func(p *Pair) { p.client.to = 9 }, want: 20, why: ServerTimeout},
		"neither reads":                {set: func(p *Pair) { p.client.to, p.server.to = 9, 9 }, want: 20, why: ServerTimeout},
		"the client has ended":         {set: func(p *Pair) { p.client.ended, p.server.shut = true, true }, want: 20, why: ServerTimeout},
		"the client has ended, limit":  {set: func(p *Pair) { p.client.ended, p.server.shut = true, true }, limit: 7, want: 7, why: ServerTimeout},
		"the server has ended":         {set: func(p *Pair) { p.server.ended, p.client.shut = true, true }, want: 30, why: ClientTimeout},
		"the server has ended, limit":  {set: func(p *Pair) { p.server.ended, p.client.shut = true, true }, limit: 7, want: 7, why: ClientTimeout},
		"only the last for the client": {set: func(p *Pair) { p.client.ended, p.server.shut, p.server.ended, p.server.to = true, true, true, 9 }, limit: 7, want: 30, why: ClientTimeoutLast},
	} {
		t.Run(name, func(t *testing.T) {
			settings := *s
			settings.HalfClosed = tc.limit
			p := &Pair{settings: &settings}
			tc.set(p)
			if got, why := p.patience(); got != tc.want || why != tc.why {
				t.Errorf("%d %s, want %d %s", got, why, tc.want, tc.why)
			}
		})
	}
	if _, why := (&Pair{settings: &Settings{}}).patience(); why != (Reason{}) {
		t.Errorf("no limits: %s", why)
	}
}

func TestFarewell(t *testing.T) {
	for why, want := range map[Reason][4]bool{ // client, server with nothing lost; then with bytes lost
		Normal:             {false, false, false, false},
		ClientTimeout:      {false, false, true, true},
		ServerTimeout:      {false, false, true, true},
		ServerTimeoutConn:  {true, true, true, true},
		ServerConnecting:   {true, true, true, true},
		ClientData:         {true, true, true, true},
		ServerData:         {true, true, true, true},
		ResourceConnecting: {true, true, true, true},
		KilledData:         {true, true, true, true},
	} {
		var got [4]bool
		got[0], got[1] = farewell(why, false)
		got[2], got[3] = farewell(why, true)
		if got != want {
			t.Errorf("%s: %v, want %v", why, got, want)
		}
	}
}
