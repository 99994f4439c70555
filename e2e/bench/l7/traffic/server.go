package traffic

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// ServeHTTP answers requests without content: /length/N with N bytes, /chunked/N with the same in chunks (RFC 9112 section
// 7.1), any other path with Small bytes. It returns when the listener is closed.
func ServeHTTP(l net.Listener) error { return serve(l, answerHTTP) }

// ServeTCP answers requests of EchoSize bytes: those that begin with E with themselves, those that begin with B and a
// number in 8 bytes, high byte first, with as many bytes.
func ServeTCP(l net.Listener) error { return serve(l, answerTCP) }

func serve(l net.Listener, answer func(r *bufio.Reader, w net.Conn) error) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			r := bufio.NewReaderSize(c, 4096)
			for err := error(nil); err == nil; {
				err = answer(r, c)
			}
		}()
	}
}

var smallAnswer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", Small, piece(0, Small))

func answerHTTP(r *bufio.Reader, w net.Conn) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	path, length, chunked := target(line)
	for len(line) > 2 {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
	}
	if !path {
		_, err = w.Write(smallAnswer)
		return err
	}
	if !chunked {
		if _, err := fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n", length); err != nil {
			return err
		}
		return send(w, length)
	}
	return sendChunks(w, length)
}

// target reads a request line: whether it asks for bulk, how many bytes and in which form.
func target(line []byte) (bulk bool, length int64, chunked bool) {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return false, 0, false
	}
	number, found := bytes.CutPrefix(fields[1], []byte("/length/"))
	if !found {
		if number, found = bytes.CutPrefix(fields[1], []byte("/chunked/")); !found {
			return false, 0, false
		}
		chunked = true
	}
	length, err := strconv.ParseInt(string(number), 10, 64)
	return err == nil, length, chunked
}

// sendSize is how much is written at once.
const sendSize = 64 << 10

func send(w io.Writer, length int64) error {
	for sent := int64(0); sent < length; {
		n, err := w.Write(piece(sent, min(length-sent, sendSize)))
		sent += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// chunkSize is the size of a chunk: what many servers send.
const chunkSize = 16 << 10

func sendChunks(c net.Conn, length int64) error {
	w := bufio.NewWriterSize(c, sendSize)
	fmt.Fprint(w, "HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nTransfer-Encoding: chunked\r\n\r\n")
	for sent := int64(0); sent < length; {
		p := piece(sent, min(length-sent, chunkSize))
		fmt.Fprintf(w, "%x\r\n", len(p))
		_, _ = w.Write(p)
		if _, err := w.WriteString("\r\n"); err != nil {
			return err
		}
		sent += int64(len(p))
	}
	fmt.Fprint(w, "0\r\n\r\n")
	return w.Flush()
}

func answerTCP(r *bufio.Reader, w net.Conn) error {
	request, err := r.Peek(EchoSize)
	if err != nil {
		return err
	}
	switch request[0] {
	case 'E':
		_, err = w.Write(request)
	case 'B':
		err = send(w, int64(binary.BigEndian.Uint64(request[1:])))
	default:
		err = errors.New("no such request")
	}
	_, _ = r.Discard(EchoSize)
	return err
}
