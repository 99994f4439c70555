package loopback

import (
	"errors"
	"net"
	"syscall"
	"testing"
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
