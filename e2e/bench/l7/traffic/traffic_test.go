package traffic_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// listen is a port of loopback that the server answers on.
func listen(t *testing.T, server func(net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	suite.Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go server(l)
	return l.Addr().String()
}

// load fills an order, going on at once, and returns all reports.
func load(t *testing.T, order traffic.Order) (reports []traffic.Report) {
	t.Helper()
	var out bytes.Buffer
	suite.Must(t, traffic.Load(order, strings.NewReader("\n\n\n\n"), &out))
	for lines := json.NewDecoder(&out); ; {
		var r traffic.Report
		if err := lines.Decode(&r); err == io.EOF {
			return reports
		} else if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
}

// front is a front of ServeHTTP in clear, and one with TLS and HTTP/2.
func front(t *testing.T) (clear, secure, certificate string) {
	t.Helper()
	server, err := url.Parse("http://" + listen(t, traffic.ServeHTTP))
	suite.Must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	certificate, private := peers.NewCertificate(t, key)
	pair, err := tls.LoadX509KeyPair(certificate, private)
	suite.Must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(server)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Set-Cookie", "A=b; Path=/")
		return nil
	}
	c := httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c.Listener.Addr().String(), startTLS(t, proxy, pair, "h2", "http/1.1"), certificate
}

func startTLS(t *testing.T, handler http.Handler, pair tls.Certificate, protocols ...string) (address string) {
	t.Helper()
	f := httptest.NewUnstartedServer(handler)
	f.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols}
	f.EnableHTTP2 = true
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f.Listener.Addr().String()
}

// Every kind of exchange does what the order says, and every byte is counted.
func TestOrdersAreFilled(t *testing.T) {
	web, stream := listen(t, traffic.ServeHTTP), listen(t, traffic.ServeTCP)
	clear, secure, certificate := front(t)
	const n, size = 50, 3<<20 + 17
	for name, tc := range map[string]struct {
		order traffic.Order
		bytes int64
	}{
		"HTTP kept":     {traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Address: web}, traffic.Small},
		"HTTP paced":    {traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Address: web, Interval: time.Millisecond}, traffic.Small},
		"HTTP fresh":    {traffic.Order{Protocol: traffic.HTTP, Form: traffic.Fresh, Address: clear}, traffic.Small},
		"HTTP length":   {traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Address: web, Size: size}, size},
		"HTTP chunked":  {traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Address: web, Size: size, Chunked: true}, size},
		"TCP kept":      {traffic.Order{Protocol: traffic.TCP, Form: traffic.Kept, Address: stream}, traffic.EchoSize},
		"TCP bulk":      {traffic.Order{Protocol: traffic.TCP, Form: traffic.Kept, Address: stream, Size: size}, size},
		"HTTPS kept":    {traffic.Order{Protocol: traffic.HTTPS, Form: traffic.Kept, Address: secure, Certificate: certificate}, traffic.Small},
		"HTTPS fresh":   {traffic.Order{Protocol: traffic.HTTPS, Form: traffic.Fresh, Address: secure, Certificate: certificate}, traffic.Small},
		"HTTP/2":        {traffic.Order{Protocol: traffic.HTTP2, Form: traffic.Kept, Address: secure, Certificate: certificate, Streams: 8}, traffic.Small},
		"HTTP/2 bulk":   {traffic.Order{Protocol: traffic.HTTP2, Form: traffic.Kept, Address: secure, Certificate: certificate, Streams: 2, Size: size}, size},
		"TLS handshake": {traffic.Order{Protocol: traffic.TLS, Form: traffic.Fresh, Address: secure, Certificate: certificate}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.order.Connections, tc.order.Exchanges = 3, n
			got := load(t, tc.order)
			if len(got) != 3 || got[2] != got[1] || got[1].Error != "" || got[1].Exchanges != n || got[1].Bytes != n*tc.bytes || got[1].P99 < got[1].P50 || got[1].Took <= 0 {
				t.Errorf("reports: %+v", got)
			}
		})
	}
}

// Connections are held in steps, and a stalled answer is read to its end.
func TestConnectionsAreHeld(t *testing.T) {
	web, stream := listen(t, traffic.ServeHTTP), listen(t, traffic.ServeTCP)
	got := load(t, traffic.Order{Protocol: traffic.TCP, Form: traffic.Held, Address: stream, Steps: []int{5, 40}})
	if len(got) != 3 || got[0].Exchanges != 5 || got[1].Exchanges != 40 || got[2].Error != "" {
		t.Errorf("held: %+v", got)
	}
	for protocol, address := range map[traffic.Protocol]string{traffic.TCP: stream, traffic.HTTP: web} {
		got = load(t, traffic.Order{Protocol: protocol, Form: traffic.Stalled, Address: address, Size: 9 << 20})
		if len(got) != 3 || got[2].Error != "" || got[2].Bytes != 9<<20 {
			t.Errorf("stalled: %+v", got)
		}
	}
}

// What is wrong with an answer ends the load with an error that says so.
func TestWrongAnswersAreFound(t *testing.T) {
	content := smallContent(t)
	head := "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n"
	flipped := []byte(content)
	flipped[77] ^= 1
	for name, tc := range map[string]struct {
		answer, want string
		size         int64
	}{
		"another byte":   {answer: head + string(flipped), want: "byte 77 is"},
		"too short":      {answer: head + content[:100], want: "after 100 bytes of 128"},
		"another status": {answer: "HTTP/1.1 503 Service Unavailable\r\n\r\n", want: "503"},
		"no length":      {answer: "HTTP/1.1 200 OK\r\n\r\n" + content, want: "neither length nor chunks"},
		"another size":   {answer: head + content, want: "128 bytes, not 4096", size: 4096},
		"bad chunk":      {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" + content + "00", want: `"00" after a chunk`},
		"nothing":        {answer: "", want: "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(l net.Listener) error {
				for {
					c, err := l.Accept()
					if err != nil {
						return err
					}
					for r := bufio.NewReader(c); ; {
						if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
							break
						}
					}
					fmt.Fprint(c, tc.answer)
					c.Close()
				}
			})
			got := load(t, traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Address: address, Connections: 1, Exchanges: 1, Size: tc.size})
			if last := got[len(got)-1]; !strings.Contains(last.Error, tc.want) {
				t.Errorf("said %+v, want %q", last, tc.want)
			}
		})
	}
}

// smallContent is the content of small answers.
func smallContent(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + listen(t, traffic.ServeHTTP))
	suite.Must(t, err)
	body, err := io.ReadAll(response.Body)
	suite.Must(t, err)
	return string(body)
}

// A front that agrees on something else than what is compared is no front to be measured.
func TestOtherTLSIsRefused(t *testing.T) {
	_, secure, _ := front(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	other, _ := peers.NewCertificate(t, key)
	order := traffic.Order{Protocol: traffic.HTTPS, Form: traffic.Kept, Address: secure, Certificate: other, Connections: 1, Exchanges: 1}
	if got := load(t, order); !strings.Contains(got[0].Error, "another certificate") {
		t.Errorf("said %+v", got)
	}
	pair, err := tls.LoadX509KeyPair(other, strings.TrimSuffix(other, "crt")+"key")
	suite.Must(t, err)
	order.Protocol, order.Address = traffic.HTTP2, startTLS(t, http.NotFoundHandler(), pair, "http/1.1")
	if got := load(t, order); !strings.Contains(got[0].Error, `by ALPN "http/1.1" was agreed, not "h2"`) {
		t.Errorf("said %+v", got)
	}
}
