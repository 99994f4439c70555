package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Dial opens a TCP connection to a listener from the peer's own host.
func (p *Peer) Dial(ctx context.Context, listener string) (net.Conn, error) {
	l, err := p.Front.listener(listener)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = p.host.enter(func() (err error) {
		var dialer net.Dialer
		dialer.SetMultipathTCP(false)
		conn, err = dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(p.Front.Address, l.Port).String())
		return err
	})
	return conn, err
}

// await waits until each listener serves.
func (p *Peer) await() error {
	end := time.Now().Add(patience)
	for _, l := range p.Front.Listeners {
		for {
			err := p.ask(l)
			if err == nil {
				break
			}
			if p.Ended() {
				return errors.Join(errors.New("the program ended"), p.Err())
			}
			if time.Now().After(end) {
				return fmt.Errorf("listener %s does not serve: %w", l.Name, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// ask asks a listener once what its servers are asked in checks.
func (p *Peer) ask(l Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := p.Dial(ctx, l.Name)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	switch l.Protocol {
	case TCP:
		return nil
	case HTTPS:
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://front"+l.CheckPath, nil)
	if err != nil {
		return err
	}
	request.Close = true
	if err := request.Write(c); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", l.CheckPath, response.Status)
	}
	return nil
}
