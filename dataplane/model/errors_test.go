package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestItemErrorsSeparatesItemsFromTheRest(t *testing.T) {
	a := &ItemError{Key: "a", Err: errors.New("one")}
	again := &ItemError{Key: "a", Err: errors.New("two")}
	other := errors.New("other")
	items, rest := ItemErrors(errors.Join(nil, fmt.Errorf("wrapped: %w", a), errors.Join(again, other)))
	if len(items) != 1 || items["a"] != a {
		t.Errorf("items %v", items)
	}
	if !errors.Is(rest, other) || errors.Is(rest, again) {
		t.Errorf("rest %v", rest)
	}
	if items, rest := ItemErrors(nil); len(items) != 0 || rest != nil {
		t.Errorf("nil gives %v, %v", items, rest)
	}
}

func TestCertificateNeverPrintsItsKey(t *testing.T) {
	c := Certificate{Name: "ns/cert", KeyPEM: []byte("SECRET")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{c, &c, []Certificate{c}, TLS{Certificates: []Certificate{c}}} {
			if got := fmt.Sprintf(verb, value); got == "" || strings.Contains(got, "SECRET") || strings.Contains(got, "534543524554") || strings.Contains(got, "83 69 67") {
				t.Errorf("%s of %T: %s", verb, value, got)
			}
		}
	}
}
