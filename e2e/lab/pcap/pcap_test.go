package pcap_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/e2e/lab/pcap"
)

// Frames of the kinds that the lab asks about, in hexadecimal.
const (
	ethernet = "027b00000002 027b00000003 "
	arpReply = ethernet + "0806 0001 0800 06 04 0002 027b00000003 c0000264 027b00000002 c0000232"
	tcpSYN   = ethernet + "0800 4500002c 00004000 40060000 c0000232 c0000264 8000 0068 00000000 00000000 50 02 faf0 0000 0000 61626364 0000"
	udp6     = ethernet + "86dd 60000000 000a 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002 0035 1000 000a 0000 6869"
	ipip     = ethernet + "8100 0064 0800 45000016 00000000 40040000 c0000202 c000020b 4500"
)

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecode(t *testing.T) {
	cases := map[string]struct {
		frame string
		want  pcap.Frame
		line  string
	}{
		"ARP": {arpReply, pcap.Frame{
			EtherType: pcap.EtherARP, ARPOperation: pcap.ARPReply, ARPSourceMAC: []byte{2, 0x7b, 0, 0, 0, 3},
			Source: netip.MustParseAddr("192.0.2.100"), Destination: netip.MustParseAddr("192.0.2.50"),
		}, "ARP operation 2 192.0.2.100 (02:7b:00:00:00:03) > 192.0.2.50"},
		"TCP with padding": {tcpSYN, pcap.Frame{
			EtherType: pcap.EtherIPv4, Protocol: pcap.ProtocolTCP, SourcePort: 0x8000, DestinationPort: 104, TCPFlags: 2,
			Source: netip.MustParseAddr("192.0.2.50"), Destination: netip.MustParseAddr("192.0.2.100"), Payload: []byte("abcd"),
		}, "protocol 6 192.0.2.50:32768 > 192.0.2.100:104, 4 bytes"},
		"UDP over IPv6": {udp6, pcap.Frame{
			EtherType: pcap.EtherIPv6, Protocol: pcap.ProtocolUDP, SourcePort: 53, DestinationPort: 4096,
			Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2"), Payload: []byte("hi"),
		}, "protocol 17"},
		"tunnel in a VLAN": {ipip, pcap.Frame{
			EtherType: pcap.EtherIPv4, Protocol: pcap.ProtocolIPIP, Payload: []byte{0x45, 0},
			Source: netip.MustParseAddr("192.0.2.2"), Destination: netip.MustParseAddr("192.0.2.11"),
		}, "protocol 4"},
		"cut": {"027b00000002", pcap.Frame{}, "0 bytes"},
	}
	ignore := cmpopts.IgnoreFields(pcap.Frame{}, "Data", "SourceMAC", "DestinationMAC")
	compare := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := pcap.Decode(decoded(t, tc.frame))
			if diff := cmp.Diff(tc.want, got, ignore, compare); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			if name != "cut" && !strings.Contains(got.String(), tc.line) {
				t.Errorf("line is %q, want %q in it", got, tc.line)
			}
		})
	}
}

// file is a pcap file of the given frames.
func file(order binary.ByteOrder, magic uint32, frames ...[]byte) []byte {
	header := make([]byte, 24)
	order.PutUint32(header, magic)
	order.PutUint32(header[20:], 1)
	var out bytes.Buffer
	out.Write(header)
	for i, frame := range frames {
		record := make([]byte, 16)
		order.PutUint32(record, uint32(1000+i))
		order.PutUint32(record[4:], 7)
		order.PutUint32(record[8:], uint32(len(frame)))
		out.Write(record)
		out.Write(frame)
	}
	return out.Bytes()
}

func TestRead(t *testing.T) {
	frame := decoded(t, arpReply)
	whole := file(binary.LittleEndian, 0xa1b2c3d4, frame, frame)
	oversized := file(binary.LittleEndian, 0xa1b2c3d4, frame)
	binary.LittleEndian.PutUint32(oversized[24+8:], 1<<30)
	otherLink := file(binary.LittleEndian, 0xa1b2c3d4)
	otherLink[20] = 113
	cases := map[string]struct {
		data []byte
		want int
		err  error
		unit time.Duration
	}{
		"microseconds":            {whole, 2, nil, time.Microsecond},
		"nanoseconds, big endian": {file(binary.BigEndian, 0xa1b23c4d, frame), 1, nil, time.Nanosecond},
		"last record cut":         {whole[:len(whole)-1], 1, nil, time.Microsecond},
		"no header":               {whole[:20], 0, pcap.ErrFormat, 0},
		"other file":              {make([]byte, 64), 0, pcap.ErrFormat, 0},
		"other link":              {otherLink, 0, pcap.ErrFormat, 0},
		"record too large":        {oversized, 0, pcap.ErrFormat, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pcap.Read(bytes.NewReader(tc.data))
			if !errors.Is(err, tc.err) || len(got) != tc.want {
				t.Fatalf("%d frames, %v; want %d, %v", len(got), err, tc.want, tc.err)
			}
			if tc.want > 0 && !got[0].Time.Equal(time.Unix(1000, 0).Add(7*tc.unit)) {
				t.Errorf("time is %s", got[0].Time)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{arpReply, tcpSYN, udp6, ipip} {
		frame, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file(binary.LittleEndian, 0xa1b2c3d4, frame))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := pcap.Read(bytes.NewReader(data))
		if err != nil && len(frames) > 0 {
			t.Error("frames and an error")
		}
		for _, frame := range frames {
			if len(frame.Payload) > len(frame.Data) || frame.String() == "" {
				t.Errorf("frame %v", frame)
			}
		}
	})
}
