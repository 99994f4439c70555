package l7

import (
	"bytes"
	"strconv"
	"time"

	"github.com/truepacs/balancer/dataplane/relay"
)

// The access log is a list of what may be known, not of what must be hidden: paths, queries and
// headers of imaging traffic hold names and numbers of patients. Of a path only words of DICOMweb
// (PS3.18 section 10 and 11) and of the configured prefix are written.

// pathWords are the path elements that say what is asked for and nothing about whom.
var pathWords = map[string]bool{
	"dicom-web": true, "dicomweb": true, "dicom": true, "wado": true, "wado-rs": true, "qido-rs": true, "stow-rs": true,
	"studies": true, "series": true, "instances": true, "frames": true, "metadata": true, "rendered": true,
	"thumbnail": true, "bulkdata": true, "workitems": true, "viewer": true, "healthz": true,
}

// maxElements bounds a template.
const maxElements = 12

// appendTemplate appends a path with {} in place of every element that is not a known word.
// The first matched bytes, a configured prefix, stay.
func appendTemplate(dst, path []byte, matched int) []byte {
	path, _ = cutQuery(path)
	dst = strconv.AppendQuote(dst, string(path[:matched]))
	dst = dst[:len(dst)-1]
	rest := bytes.TrimPrefix(path[matched:], []byte("/"))
	for i := 0; len(rest) > 0 && i < maxElements; i++ {
		element, after, _ := bytes.Cut(rest, []byte("/"))
		rest = after
		if pathWords[string(element)] {
			dst = append(append(dst, '/'), element...)
		} else {
			dst = append(dst, "/{}"...)
		}
	}
	return append(dst, '"')
}

// record is what all lines of the access log say.
type record struct {
	listener string
	client   []byte
	took     time.Duration // from the request's head, or the connection's begin, to the end
	connect  time.Duration // until a server was reached; negative: none was
	code     relay.Reason
	server   string
}

// begin appends the fields that stand first.
func (r *record) begin(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = time.Now().Add(-r.took).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","listener":`...)
	b = strconv.AppendQuote(b, r.listener)
	b = append(b, `,"client":"`...)
	b = append(b, r.client...)
	b = append(b, `","microseconds":`...)
	b = strconv.AppendInt(b, r.took.Microseconds(), 10)
	b = append(b, `,"connectMicroseconds":`...)
	if r.connect < 0 {
		b = append(b, "-1"...)
	} else {
		b = strconv.AppendInt(b, r.connect.Microseconds(), 10)
	}
	b = append(b, `,"termination":"`...)
	b = append(b, r.code[:]...)
	return append(b, '"')
}

// end appends the server and ends the line.
func (r *record) end(b []byte) []byte {
	b = append(b, `,"server":`...)
	b = strconv.AppendQuote(b, r.server)
	return append(b, "}\n"...)
}

func appendBytes(b []byte, in, out int64) []byte {
	b = append(b, `,"bytesIn":`...)
	b = strconv.AppendInt(b, in, 10)
	b = append(b, `,"bytesOut":`...)
	return strconv.AppendInt(b, out, 10)
}

// account counts the request and writes its line.
func (x *exchange) account() {
	count := x.client.listener.count(x.client.w)
	in, out := x.up.moved, x.down.moved
	if in > 0 {
		count.bytesIn.Add(in)
	}
	if out > 0 {
		count.bytesOut.Add(out)
	}
	if x.failed {
		count.errors.Add(1)
	}
	x.log(in, out)
}

// log writes the line of a request.
func (x *exchange) log(in, out int64) {
	c := x.client
	p := &c.w.page
	if !p.wanted() {
		return
	}
	r := record{listener: c.listener.name, client: c.peerText, took: c.w.loop.Now() - x.began, connect: x.seat.took, code: x.code, server: x.server}
	b := r.begin(p.begin())
	if x.route != nil {
		b = append(b, `,"route":`...)
		b = strconv.AppendQuote(b, x.route.name)
		b = append(b, `,"pool":`...)
		b = strconv.AppendQuote(b, x.route.backend.pool.name)
		b = append(b, `,"path":`...)
		b = append(b, x.path...)
		b = appendBytes(b, in, out)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(x.status), 10)
	p.end(r.end(b))
}

// logConnection writes the line of a TCP connection.
func (w *worker) logConnection(r record, in, out int64) {
	p := &w.page
	if !p.wanted() {
		return
	}
	b := appendBytes(r.begin(p.begin()), in, out)
	b = append(b, `,"clean":`...)
	b = strconv.AppendBool(b, r.code == relay.Normal)
	p.end(r.end(b))
}
