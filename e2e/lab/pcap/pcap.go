// Package pcap reads what the lab's captures have recorded: classic pcap files of
// Ethernet frames (draft-ietf-opsawg-pcap), decoded as far as the lab's questions
// go: who sent the frame to whom, on the link, in the network and at which ports.
//
// It imports the standard library only.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxFrame bounds a frame in bytes: 64 KiB segments of an offloading interface and
// their headers.
const maxFrame = 1 << 18

// ErrFormat means that the file is not a pcap file of Ethernet frames.
var ErrFormat = errors.New("not a pcap file of Ethernet frames")

const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	linkEthernet      = 1
	fileHeader        = 24
	recordHeader      = 16
)

// Read returns all frames of a file. A last record that is cut is left out.
func Read(r io.Reader) ([]Frame, error) {
	buffered := bufio.NewReader(r)
	order, unit, err := readHeader(buffered)
	if err != nil {
		return nil, err
	}
	var frames []Frame
	for {
		at, data, err := readRecord(buffered, order, unit)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		frame := Decode(data)
		frame.Time = at
		frames = append(frames, frame)
	}
}

func readHeader(r io.Reader) (binary.ByteOrder, time.Duration, error) {
	var header [fileHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, 0, fmt.Errorf("%w: its header is cut", ErrFormat)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		var unit time.Duration
		switch order.Uint32(header[:]) {
		case magicMicroseconds:
			unit = time.Microsecond
		case magicNanoseconds:
			unit = time.Nanosecond
		default:
			continue
		}
		if link := order.Uint32(header[20:]) & 0xffff; link != linkEthernet {
			return nil, 0, fmt.Errorf("%w: its link type is %d", ErrFormat, link)
		}
		return order, unit, nil
	}
	return nil, 0, ErrFormat
}

func readRecord(r io.Reader, order binary.ByteOrder, unit time.Duration) (time.Time, []byte, error) {
	var header [recordHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return time.Time{}, nil, err
	}
	size := order.Uint32(header[8:])
	if size > maxFrame {
		return time.Time{}, nil, fmt.Errorf("%w: a record announces %d bytes", ErrFormat, size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return time.Time{}, nil, err
	}
	fraction := time.Duration(order.Uint32(header[4:])) * unit
	return time.Unix(int64(order.Uint32(header[:])), 0).Add(fraction), data, nil
}
