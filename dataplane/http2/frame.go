package http2

import "encoding/binary"

// preface is what a client sends first, RFC 9113 section 3.4.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const frameHeadLen = 9

type frameKind uint8

// Frame types, RFC 9113 section 6.
const (
	frameData frameKind = iota
	frameHeaders
	framePriority
	frameRSTStream
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
	frameUnknown // and all above
)

// Frame flags, RFC 9113 section 6.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// frameHead is what every frame begins with, RFC 9113 section 4.1.
type frameHead struct {
	length int
	kind   frameKind
	flags  uint8
	id     uint32
}

func parseFrameHead(b *[frameHeadLen]byte) frameHead {
	return frameHead{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   min(frameKind(b[3]), frameUnknown),
		flags:  b[4],
		id:     binary.BigEndian.Uint32(b[5:]) &^ (1 << 31),
	}
}

func (f frameHead) has(flag uint8) bool { return f.flags&flag != 0 }

func appendFrameHead(b []byte, length int, kind frameKind, flags uint8, id uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags)
	return binary.BigEndian.AppendUint32(b, id)
}

func appendRSTStream(b []byte, id uint32, code ErrCode) []byte {
	b = appendFrameHead(b, 4, frameRSTStream, 0, id)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindowUpdate(b []byte, id uint32, increment int) []byte {
	b = appendFrameHead(b, 4, frameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(b, uint32(increment))
}

func appendPing(b []byte, flags uint8, data []byte) []byte {
	b = appendFrameHead(b, 8, framePing, flags, 0)
	return append(b, data[:8]...)
}

func appendGoAway(b []byte, last uint32, code ErrCode, reason string) []byte {
	b = appendFrameHead(b, 8+len(reason), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, reason...)
}

// unpad takes the padding off the payload of a HEADERS frame, RFC 9113 section 6.2.
func unpad(f frameHead, p []byte) ([]byte, *Error) {
	if !f.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, frameSize("frame too short for its padding")
	}
	pad := int(p[0])
	if pad >= len(p) {
		return nil, protocol("padding longer than its frame")
	}
	return p[1 : len(p)-pad], nil
}
