package netwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestTelling puts news at some times and looks when they are told.
func TestTelling(t *testing.T) {
	ms := time.Millisecond
	for name, tc := range map[string]struct{ news, want []time.Duration }{
		"one":                {[]time.Duration{0}, []time.Duration{100 * ms}},
		"several in a row":   {[]time.Duration{0, 20 * ms, 40 * ms, 90 * ms}, []time.Duration{100 * ms}},
		"one after the next": {[]time.Duration{0, 5000 * ms}, []time.Duration{100 * ms, 5100 * ms}},
		"soon after":         {[]time.Duration{0, 150 * ms}, []time.Duration{100 * ms, 1100 * ms}},
		"a storm": {[]time.Duration{0, 150 * ms, 300 * ms, 600 * ms, 1000 * ms, 1200 * ms, 1500 * ms, 2000 * ms},
			[]time.Duration{100 * ms, 1100 * ms, 2100 * ms}},
		"none": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin, news := time.Now(), make(chan struct{}, 1)
				go func() {
					for _, at := range tc.news {
						time.Sleep(at - time.Since(begin))
						select {
						case news <- struct{}{}:
						default:
						}
					}
				}()
				var got []time.Duration
				if err := (Watcher{}).tell(ctx, news, nil, func() { got = append(got, time.Since(begin)) }); err != nil {
					t.Fatal(err)
				}
				if len(got) != len(tc.want) {
					t.Fatalf("told at %v, want %v", got, tc.want)
				}
				for i := range got {
					if got[i] != tc.want[i] {
						t.Errorf("told at %v, want %v", got, tc.want)
					}
				}
			})
		})
	}
}

func TestFailedSourceEndsTheWatch(t *testing.T) {
	failed := make(chan error, 1)
	failed <- errors.New("gone")
	if err := (Watcher{}).tell(t.Context(), nil, failed, func() {}); err == nil {
		t.Error("no error")
	}
}

// messageOf is a message about a table of family inet: NFT_MSG_NEWTABLE with its name.
func messageOf(table string) []byte {
	name := append([]byte(table), 0)
	b := make([]byte, messageHeader+familyHeader+attrHeader)
	b[messageHeader] = unix.NFPROTO_INET
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8)
	binary.NativeEndian.PutUint16(b[messageHeader+familyHeader:], uint16(attrHeader+len(name)))
	binary.NativeEndian.PutUint16(b[messageHeader+familyHeader+2:], tableName)
	b = append(b, name...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return append(b, make([]byte, aligned(len(b))-len(b))...)
}

func FuzzNamesTable(f *testing.F) {
	f.Add([]byte{}, "truepacs")
	f.Add(messageOf("truepacs"), "truepacs")
	f.Add([]byte("\x14\x00\x00\x00\x0f\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "t")
	f.Add([]byte("\xff\xff\xff\xff"), "x")
	f.Fuzz(func(t *testing.T, datagram []byte, table string) {
		_ = namesTable(datagram, table)
		if len(table) > 1000 || strings.ContainsRune(table, 0) {
			return
		}
		if !namesTable(append(messageOf(table+"x"), messageOf(table)...), table) {
			t.Errorf("a message about %q is not seen", table)
		}
		if namesTable(messageOf(table+"x"), table) {
			t.Errorf("a message about %q counts for %q", table+"x", table)
		}
	})
}
