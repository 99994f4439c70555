package nft

import (
	"testing"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// rulesAsMessages are the rules of the guard as they go to the kernel, which sends them back alike.
func rulesAsMessages(t testing.TB) map[string][]netlink.Message {
	t.Helper()
	all := map[string][]netlink.Message{}
	for name, shape := range map[string]Shape{"guard": {Guard: true}, "lax": {Guard: true, Lax: true}} {
		b := &batch{table: tableOf(DefaultTable)}
		for _, r := range shape.guardRules() {
			b.rule(chainGuard, r)
		}
		if b.err != nil {
			t.Fatal(b.err)
		}
		all[name] = b.commands
	}
	return all
}

func TestLookupsOfTheGuard(t *testing.T) {
	want := map[string][]expr.SocketKey{"guard": {expr.SocketKeyWildcard, expr.SocketKeyTransparent, expr.SocketKeyTransparent}, "lax": nil}
	for name, messages := range rulesAsMessages(t) {
		var got []expr.SocketKey
		for i, m := range messages {
			l, err := parseLookups(m.Data)
			if err != nil || l.length == 0 {
				t.Fatalf("%s, rule %d: %+v, %v", name, i, l, err)
			}
			for _, s := range l.sockets {
				got = append(got, s.Key)
			}
		}
		if len(got) != len(want[name]) {
			t.Errorf("%s asks of sockets %v, want %v", name, got, want[name])
		}
	}
}

func FuzzParseLookups(f *testing.F) {
	for _, messages := range rulesAsMessages(f) {
		for _, m := range messages {
			f.Add(m.Data)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLookups(b)
		if err == nil && len(l.sockets) > l.length {
			t.Errorf("%d lookups in %d expressions", len(l.sockets), l.length)
		}
	})
}
