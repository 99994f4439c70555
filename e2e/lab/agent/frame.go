package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds one frame's payload in bytes; larger data is cut into several
// frames by the sender and refused by the receiver.
const maxFrame = 256 << 10

// ErrFrameTooLarge means that the other side announced a payload above the limit:
// it does not speak this protocol.
var ErrFrameTooLarge = errors.New("frame is larger than the protocol allows")

type kind byte

const (
	kindRequest  kind = 'R' // client: JSON Request, always first
	kindStarted  kind = 'S' // server: JSON started; for dial, raw bytes follow
	kindStdin    kind = 'I' // client: bytes for standard input, empty for its end
	kindStdout   kind = 'O' // server: bytes of standard output
	kindStderr   kind = 'E' // server: bytes of standard error
	kindSignal   kind = 'K' // client: JSON signalRequest
	kindExit     kind = 'X' // server: JSON Exit, always last
	kindData     kind = 'D' // both: file bytes, empty for their end
	kindComplete kind = 'C' // server: put or get is complete
	kindError    kind = '!' // server: text; the work could not be done
)

const headerLength = 5

func writeFrame(w io.Writer, k kind, payload []byte) error {
	frame := make([]byte, headerLength+len(payload))
	frame[0] = byte(k)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	copy(frame[headerLength:], payload)
	_, err := w.Write(frame)
	return err
}

func writeJSON(w io.Writer, k kind, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %q frame: %w", string(k), err)
	}
	return writeFrame(w, k, payload)
}

// readFrame reads one frame. The payload is valid until the next call with the
// same buffer.
func readFrame(r io.Reader, buffer []byte) (kind, []byte, error) {
	var header [headerLength]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length > maxFrame {
		return 0, nil, fmt.Errorf("%w: kind %q announces %d bytes", ErrFrameTooLarge, string(header[0]), length)
	}
	if int(length) > cap(buffer) {
		buffer = make([]byte, length)
	}
	payload := buffer[:length]
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("frame of kind %q was cut: %w", string(header[0]), err)
	}
	return kind(header[0]), payload, nil
}
