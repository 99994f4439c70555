package l7_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
)

// pattern is an endless stream whose every 8 bytes differ.
type pattern struct {
	n    uint64
	rest []byte
}

func newPattern() *pattern { return &pattern{} }

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	for ; n+8 <= len(b); n += 8 {
		binary.LittleEndian.PutUint64(b[n:], p.n)
		p.n++
	}
	if n < len(b) {
		p.rest = binary.LittleEndian.AppendUint64(nil, p.n)
		p.n++
		m := copy(b[n:], p.rest)
		p.rest = p.rest[m:]
		n += m
	}
	return n, nil
}

// A gibibyte in each direction, in each framing; the heap stays flat.
func TestStreaming(t *testing.T) {
	const size = 1 << 30
	want := crc32.NewIEEE()
	io.Copy(want, io.LimitReader(newPattern(), size))
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			sum := crc32.NewIEEE()
			io.Copy(sum, r.Body)
			io.WriteString(w, strconv.FormatUint(uint64(sum.Sum32()), 16))
			return
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		io.Copy(w, io.LimitReader(newPattern(), size))
	})).apply()
	c := r.client()
	for _, path := range []string{"/length", "/chunked"} {
		t.Run("down"+path, func(t *testing.T) {
			flat(t, func() {
				res, err := c.Get(r.url() + path)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got := crc32.NewIEEE()
				if n, err := io.Copy(got, res.Body); err != nil || n != size || got.Sum32() != want.Sum32() {
					t.Errorf("%d bytes of %d, sum %x want %x, %v", n, size, got.Sum32(), want.Sum32(), err)
				}
			})
		})
		t.Run("up"+path, func(t *testing.T) {
			flat(t, func() {
				req, _ := http.NewRequest("PUT", r.url()+path, io.LimitReader(newPattern(), size))
				if path == "/length" {
					req.ContentLength = size
				}
				res, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if b, _ := io.ReadAll(res.Body); string(b) != strconv.FormatUint(uint64(want.Sum32()), 16) {
					t.Errorf("server's sum %s, want %x", b, want.Sum32())
				}
			})
		})
	}
}

// flat fails if the heap grows by more than a few buffers while f runs.
func flat(t *testing.T, f func()) {
	t.Helper()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.Store(max(most.Load(), now.HeapInuse))
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	if grown := int64(most.Load()) - int64(before.HeapInuse); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
