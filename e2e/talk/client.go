package talk

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Who is a server as it names itself, and the client as it sees it.
type Who struct {
	Server string
	Client netip.AddrPort
}

func parseWho(text string) (Who, error) {
	name, client, _ := strings.Cut(strings.TrimSpace(text), " ")
	address, err := netip.ParseAddrPort(client)
	if err != nil {
		return Who{}, fmt.Errorf("the answer %q names no client: %w", text, err)
	}
	return Who{name, address}, nil
}

// Stream is a TCP connection to a server.
type Stream struct {
	net.Conn
	reader *bufio.Reader
}

// NewStream speaks on a connection, which has to end within a time.
func NewStream(c net.Conn, within time.Duration) (*Stream, error) {
	return &Stream{c, bufio.NewReaderSize(c, 1<<16)}, c.SetDeadline(time.Now().Add(within))
}

// Ask asks who answers.
func (s *Stream) Ask() (Who, error) {
	if _, err := fmt.Fprintln(s, "WHO"); err != nil {
		return Who{}, err
	}
	line, err := s.reader.ReadString('\n')
	if err != nil {
		return Who{}, err
	}
	return parseWho(line)
}

// Put sends bytes to the server, which must have got them all.
func (s *Stream) Put(n int64, seed uint64) error {
	if _, err := fmt.Fprintf(s, "PUT %d\n", n); err != nil {
		return err
	}
	if err := send(s, n, seed); err != nil {
		return err
	}
	var got uint64
	line, err := s.reader.ReadString('\n')
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(line, "%x", &got); err != nil {
		return fmt.Errorf("the answer %q is no sum: %w", line, err)
	}
	return differ(got, sumOf(n, seed), "what the server got")
}

// Get has the server send bytes, which must all come.
func (s *Stream) Get(n int64, seed uint64) error {
	if _, err := fmt.Fprintf(s, "GET %d %d\n", n, seed); err != nil {
		return err
	}
	got, err := sum(s.reader, n)
	if err != nil {
		return err
	}
	return differ(got, sumOf(n, seed), "what came from the server")
}

// Exchange sends datagrams on a connected socket, each again until its answer comes, and compares
// what comes back. All must be answered by one server.
func Exchange(c net.Conn, datagrams []string, within time.Duration) (Who, error) {
	var who Who
	end := time.Now().Add(within)
	for i, text := range datagrams {
		got, err := exchangeOne(c, text, end)
		if err != nil {
			return who, fmt.Errorf("datagram %d of %d: %w", i+1, len(datagrams), err)
		}
		if i > 0 && got != who {
			return who, fmt.Errorf("datagram %d of %d was answered by %v, earlier ones by %v", i+1, len(datagrams), got, who)
		}
		who = got
	}
	return who, nil
}

// tries is how long one answer is waited for: a datagram may be lost.
const tries = 2 * time.Second

func exchangeOne(c net.Conn, text string, end time.Time) (Who, error) {
	b := make([]byte, 1<<16)
	for time.Now().Before(end) {
		if _, err := c.Write([]byte(text)); err != nil {
			return Who{}, err
		}
		if err := c.SetReadDeadline(time.Now().Add(tries)); err != nil {
			return Who{}, err
		}
		n, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return Who{}, err
		}
		parts := strings.SplitN(string(b[:n]), " ", 3)
		if len(parts) != 3 || parts[2] != text {
			continue // the answer to one that was sent again
		}
		return parseWho(parts[0] + " " + parts[1])
	}
	return Who{}, errors.New("no answer came back")
}
