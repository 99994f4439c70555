// Package dicom is a codec for the DICOM upper layer protocol (PS3.8 section 9.3) and for the
// part of the DIMSE command set that C-ECHO needs (PS3.7 sections 9.1.5 and 9.3.5, annex E).
//
// It is sans I/O: bytes go in, values come out, and encoders append to the caller's slice. It owns
// no socket, clock, goroutine or logger. [Decoder] cuts a byte stream into PDUs, [ParsePDU] turns
// one PDU into a value, and [EchoRequestor] runs a whole C-ECHO against whatever carries the bytes.
//
// Every length that a peer claims is checked against what the protocol and the configured [Limits]
// allow before it is used, and memory grows only with bytes that have really arrived. Fields that
// PS3.8 calls reserved are written as zero and never tested on receipt, as it demands.
//
// The package may import the standard library only.
package dicom
