package tlssession

import "fmt"

// MaxHeld is the most bytes of ciphertext that a session holds for later.
const MaxHeld = 128 << 10

// Buffers lends memory to the sessions of one loop. Both methods are called from the loop only.
type Buffers interface {
	// Borrow returns an empty slice with room for at least n bytes.
	Borrow(n int) []byte
	// Return takes back what Borrow gave; its length does not matter.
	Return(b []byte)
}

// input is ciphertext on its way to crypto/tls, given out by whole records, never past the end of
// one. A record lies either in hold or in lent; where hold ends within a record, lent is empty.
type input struct {
	buffers Buffers
	hold    []byte // borrowed: what waits from earlier pieces
	off     int    // of hold, given out already
	lent    []byte // the owner's
	left    int    // of the record that is being given out
	begun   bool   // the first record's type was seen
	eof     bool
}

func (in *input) room() int { return max(0, MaxHeld-len(in.hold)+in.off-len(in.lent)) }

// feed takes p, which stays lent until keep.
func (in *input) feed(p []byte) error {
	if len(p) > in.room() {
		return &Error{Reason: Internal, Err: fmt.Errorf("%d bytes fed where Room is %d", len(p), in.room())}
	}
	in.keep()
	whole, err := in.whole()
	if err != nil {
		return err
	}
	switch {
	case whole > 0:
		in.append(p)
	case in.hold == nil:
		in.lent = p
	default:
		if p, err = in.fill(p); err != nil {
			return err
		}
		in.lent = p
	}
	_, err = in.whole()
	return err
}

// fill completes the record in hold as far as p goes and returns what it did not need.
func (in *input) fill(p []byte) ([]byte, error) {
	for len(p) > 0 {
		have := len(in.hold) - in.off
		want, err := recordSize(in.hold[in.off:], !in.begun)
		if err != nil {
			return nil, err
		}
		if want == 0 {
			want = recordHeader
		}
		n := min(want-have, len(p))
		if n == 0 {
			break
		}
		in.append(p[:n])
		p = p[n:]
	}
	return p, nil
}

// keep copies what is lent.
func (in *input) keep() {
	if len(in.lent) > 0 {
		in.append(in.lent)
	}
	in.lent = nil
}

func (in *input) append(p []byte) {
	rest := in.hold[in.off:]
	if need := len(rest) + len(p); cap(in.hold)-len(in.hold) < len(p) {
		to := in.hold
		if cap(to) < need {
			// Grown by what came, not by what a header promises: a peer that sends headers only
			// costs little.
			to = in.buffers.Borrow(max(need, min(2*cap(to), MaxHeld)))
		}
		to = to[:copy(to[:len(rest)], rest)]
		if in.hold != nil && cap(in.hold) < need {
			in.buffers.Return(in.hold)
		}
		in.hold, in.off = to, 0
	}
	in.hold = append(in.hold, p...)
}

func (in *input) head() []byte {
	if in.hold != nil {
		return in.hold[in.off:]
	}
	return in.lent
}

// whole returns the size of the record that is next, or what is left of it; 0 if it is not
// complete.
func (in *input) whole() (int, error) {
	if in.left > 0 {
		return in.left, nil
	}
	b := in.head()
	n, err := recordSize(b, !in.begun)
	if err != nil || n == 0 || len(b) < n {
		return 0, err
	}
	return n, nil
}

// read gives out bytes of the next record; 0 if it is not complete.
func (in *input) read(p []byte) (int, error) {
	n, err := in.whole()
	if n == 0 || err != nil {
		return 0, err
	}
	in.begun = true
	k := copy(p, in.head()[:n])
	in.left = n - k
	if in.hold == nil {
		in.lent = in.lent[k:]
		return k, nil
	}
	if in.off += k; in.off == len(in.hold) {
		in.release()
	}
	return k, nil
}

func (in *input) release() {
	if in.hold != nil {
		in.buffers.Return(in.hold)
	}
	in.hold, in.off = nil, 0
}

// drop forgets everything.
func (in *input) drop() {
	in.release()
	in.lent, in.left = nil, 0
}
