package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

const (
	// headSize is what a request begins with: its seed, its size and that of its answer, 64 bits each.
	headSize = 24
	// tailSize is what an answer ends with: the SHA-256 of the request's body as the server got it.
	tailSize = sha256.Size
	// maxMessage is the largest request and answer.
	maxMessage = 1 << 30
)

// Retrieval is a number of requests on one connection, each sent when the one before is answered, as
// a viewer asks for the images of a study.
type Retrieval struct {
	// Requests is how many.
	Requests int
	// RequestBytes and ReplyBytes are the sizes of each request and answer, all that TCP carries for
	// them: 32 bytes to 1 GiB.
	RequestBytes, ReplyBytes int64
	// Seed makes the content of both.
	Seed uint64
}

// check refuses sizes that have no room for what a request and an answer consist of.
func (r Retrieval) check() error {
	for _, size := range []int64{r.RequestBytes, r.ReplyBytes} {
		if size < tailSize || size > maxMessage {
			return fmt.Errorf("a message of %d bytes: write %d to %d", size, tailSize, maxMessage)
		}
	}
	if r.Requests < 1 {
		return errors.New("no requests: write 1 or more")
	}
	return nil
}

// Retrieve makes the requests and compares every byte of each answer with what the server has to
// send, and the server's hash of each request with what was sent. It returns how many bytes of
// answers were right.
func Retrieve(ctx context.Context, dial Dial, r Retrieval) (int64, error) {
	if err := r.check(); err != nil {
		return 0, fmt.Errorf("retrieve: %w", err)
	}
	c, err := dial(ctx)
	if err != nil {
		return 0, fmt.Errorf("retrieve: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte{cmdRetrieve}); err != nil {
		return 0, fmt.Errorf("retrieve: %w", err)
	}
	var got int64
	for i := range r.Requests {
		if err := r.exchange(c, r.Seed+uint64(i)); err != nil {
			return got, fmt.Errorf("retrieve: request %d of %d: %w", i+1, r.Requests, err)
		}
		got += r.ReplyBytes
	}
	return got, nil
}

func (r Retrieval) exchange(c net.Conn, seed uint64) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	head := make([]byte, 0, headSize)
	for _, n := range []uint64{seed, uint64(r.RequestBytes), uint64(r.ReplyBytes)} {
		head = binary.BigEndian.AppendUint64(head, n)
	}
	hash := sha256.New()
	body := io.LimitReader(content(seed, 'q'), r.RequestBytes-headSize)
	if _, err := io.Copy(c, io.MultiReader(bytes.NewReader(head), io.TeeReader(body, hash))); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := same(io.LimitReader(c, r.ReplyBytes-tailSize), content(seed, 'a'), r.ReplyBytes-tailSize); err != nil {
		return err
	}
	var told [tailSize]byte
	if _, err := io.ReadFull(c, told[:]); err != nil {
		return fmt.Errorf("receive the request's hash: %w", err)
	}
	if !bytes.Equal(told[:], hash.Sum(nil)) {
		return errors.New("the server got other bytes than were sent")
	}
	return nil
}

// same wants size bytes of both readers to be the same.
func same(got, want io.Reader, size int64) error {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < size; {
		n, err := got.Read(a)
		_, _ = io.ReadFull(want, b[:n])
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Errorf("the answer has other bytes than were sent, %d bytes after its start or later", at)
		}
		at += int64(n)
		if err != nil && at < size {
			return fmt.Errorf("receive: %w after %d of %d bytes", err, at, size)
		}
	}
	return nil
}

// content is what a message consists of, without end.
func content(seed uint64, kind byte) io.Reader {
	key := [32]byte{31: kind}
	binary.BigEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// serveRetrieval answers requests until the client ends.
func serveRetrieval(c net.Conn) {
	for answerRequest(c) == nil {
		continue
	}
}

func answerRequest(c net.Conn) error {
	var head [headSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	r := Retrieval{
		Requests: 1, Seed: binary.BigEndian.Uint64(head[:]),
		RequestBytes: int64(binary.BigEndian.Uint64(head[8:])), ReplyBytes: int64(binary.BigEndian.Uint64(head[16:])),
	}
	if err := r.check(); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, c, r.RequestBytes-headSize); err != nil {
		return err
	}
	if _, err := io.CopyN(c, content(r.Seed, 'a'), r.ReplyBytes-tailSize); err != nil {
		return err
	}
	_, err := c.Write(hash.Sum(nil))
	return err
}
