// Package tlssession is crypto/tls without a socket, for an event loop: ciphertext in, plaintext
// out, and the other way round. It opens no connection and waits for none; the owner reads and
// writes the socket. It imports the standard library only.
//
//	s := tlssession.Server(loop, waker, config)
//	for readable {
//		n := recv(fd, cipher[:min(len(cipher), s.Room())])
//		err = s.Feed(cipher[:n])                     // any piece of the stream; n == 0: s.FeedEOF()
//		if err == nil && s.HandshakePending() {
//			err = s.Handshake()                  // nil: over, ErrMore: feed more or wait for Wake
//		}
//		for err == nil {
//			n, err = s.Read(plain)               // io.EOF: close_notify, ErrMore: feed more
//			...
//		}
//		s.Keep()                                     // cipher is used for other sessions next
//		s.Sent(send(fd, s.Output()))                 // also after an error: the alert is there
//	}
//	s.Close()
//
// A Session belongs to one loop: all its methods are called from the loop's goroutine. The bytes
// given to Feed are lent, not copied, until Keep, or until Handshake or Read says ErrMore.
//
// What it relies on in crypto/tls (conn.go) and what the tests guard at each update of Go:
//   - Read may be called again after an error of the transport that is a net.Error with Temporary:
//     readRecordOrCCS then keeps rawInput and hand. Only whole records are fed, so this is needed
//     for records without data alone (KeyUpdate, tickets, pieces of handshake messages).
//   - Handshake cannot be resumed. So it runs in a coroutine (iter.Pull) on the loop's own thread,
//     which parks where the transport has no record; RSA signatures (about 2 ms) are computed in a
//     goroutine meanwhile. Where a callback may block, the whole handshake runs in a goroutine.
//   - The context given to HandshakeContext reaches GetCertificate, which finds its session by it.
//   - A transport's Write is called with whole records and its error is final.
package tlssession
