package loopback

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestRefusing(t *testing.T) {
	at := Refusing(t)
	if c, err := net.Dial("tcp", at.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial gave %v, %v", c, err)
	}
	if l, err := net.Listen("tcp", at.String()); err == nil {
		_ = l.Close()
		t.Error("another may take the port")
	}
}

func TestFree(t *testing.T) {
	l, err := net.Listen("tcp", Free(t).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestSilentDoesNotAnswer(t *testing.T) {
	c, err := net.DialTimeout("tcp", Silent(t).String(), 200*time.Millisecond)
	if err == nil {
		c.Close()
		t.Fatal("a connect was answered")
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v, want silence", err)
	}
}
