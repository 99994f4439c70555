package ipvs

import (
	"strings"
	"testing"
)

func TestSameTable(t *testing.T) {
	const text = "IP Virtual Server version 1.2.1 (size=4096)\n" +
		"FWM  54000001 wlc persistent 75000 FFFFFFFF\n" +
		"  -> C000020C:0000      Route   100    0          0         \n" +
		"  -> C000020B:0000      Tunnel  1000000 12         9         \n"
	replace := func(old, with string) string { return strings.Replace(text, old, with, 1) }
	tests := map[string]struct {
		text string
		want bool
	}{
		"same":                  {text, true},
		"connections":           {replace("0          0         ", "2147483647 7         "), true},
		"weight":                {replace("100    0 ", "101    0 "), false},
		"long weight":           {replace("1000000 12", "1000001 12"), false},
		"server":                {replace("C000020C", "C000020D"), false},
		"forwarding":            {replace("Route ", "Masq  "), false},
		"service":               {replace("wlc", "wrr"), false},
		"last digit of service": {replace("FFFFFFFF\n", "FFFFFFFE\n"), false},
		"line too few":          {replace("  -> C000020C:0000      Route   100    0          0         \n", ""), false},
		"cut":                   {text[:len(text)-1], false},
		"empty":                 {"", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sameTable([]byte(text), []byte(tc.text)); got != tc.want {
				t.Errorf("got %t", got)
			}
			if got := sameTable([]byte(tc.text), []byte(text)); got != tc.want {
				t.Errorf("the other way round: got %t", got)
			}
		})
	}
	if !sameTable([]byte(text), []byte(text)) {
		t.Error("a text is not the same as itself")
	}
	if sameTable(nil, nil) {
		t.Error("nothing known is the same as nothing there")
	}
}
