package http2

import "encoding/binary"

// Settings, RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1.
const (
	settingEnablePush      = 0x2
	settingMaxStreams      = 0x3
	settingInitialWindow   = 0x4
	settingMaxFrame        = 0x5
	settingMaxFields       = 0x6
	settingExtendedConnect = 0x8
	settingNoPriorities    = 0x9
	settingLen             = 6
	largestMaxFrame        = 1<<24 - 1
)

// appendSettings writes what a server sends first, RFC 9113 section 3.4.
func (c *Conn) appendSettings(b []byte) []byte {
	settings := [...]struct {
		id    uint16
		value uint32
	}{
		{settingMaxStreams, c.cfg.MaxStreams},
		{settingInitialWindow, uint32(c.cfg.StreamWindow)},
		{settingMaxFields, uint32(c.cfg.MaxFields)},
		{settingNoPriorities, 1},
		{settingExtendedConnect, 1},
	}
	n := len(settings)
	if !c.cfg.ExtendedConnect {
		n--
	}
	b = appendFrameHead(b, n*settingLen, frameSettings, 0, 0)
	for _, s := range settings[:n] {
		b = binary.BigEndian.AppendUint16(b, s.id)
		b = binary.BigEndian.AppendUint32(b, s.value)
	}
	if c.cfg.ConnWindow > initialWindow {
		b = appendWindowUpdate(b, 0, int(c.cfg.ConnWindow)-initialWindow)
	}
	return b
}

// settings takes a SETTINGS frame, RFC 9113 section 6.5. What concerns pushes, HPACK tables and
// frames larger than 16 KiB is checked and left unused.
func (c *Conn) settings(f frameHead, p []byte) *Error {
	switch {
	case f.id != 0:
		return protocol("SETTINGS on a stream")
	case f.has(flagAck) && len(p) != 0:
		return frameSize("acknowledgement of SETTINGS with a payload")
	case len(p)%settingLen != 0:
		return frameSize("SETTINGS cut off")
	}
	if err := c.glitch(); err != nil || f.has(flagAck) {
		return err
	}
	window := c.peerWindow
	for ; len(p) > 0; p = p[settingLen:] {
		id, value := binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])
		if err := checkSetting(id, value); err != nil {
			return err
		}
		if id == settingInitialWindow {
			window = int64(value)
		}
	}
	if err := c.changeWindows(window); err != nil {
		return err
	}
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
	c.serve()
	return nil
}

func checkSetting(id uint16, value uint32) *Error {
	switch {
	case (id == settingEnablePush || id == settingExtendedConnect) && value > 1:
		return protocol("setting is neither 0 nor 1")
	case id == settingInitialWindow && value > maxWindow:
		return &Error{FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE larger than 2^31-1"}
	case id == settingMaxFrame && (value < maxFrame || value > largestMaxFrame):
		return protocol("SETTINGS_MAX_FRAME_SIZE out of range")
	}
	return nil
}

// changeWindows applies SETTINGS_INITIAL_WINDOW_SIZE to all streams, RFC 9113 section 6.9.2. A
// window may become negative.
func (c *Conn) changeWindows(window int64) *Error {
	by := window - c.peerWindow
	c.peerWindow = window
	if by == 0 {
		return nil
	}
	for _, s := range c.table.open {
		if s.sendWindow += by; s.sendWindow > maxWindow {
			return &Error{FlowControlError, "stream's window larger than 2^31-1"}
		}
		c.await(s)
	}
	return nil
}
