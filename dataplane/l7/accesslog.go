package l7

import (
	"bytes"
	"strconv"
	"time"
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

func (c *httpConn) logHTTP() {
	w := c.engine.cfg.AccessLog
	if w == nil {
		return
	}
	x := &c.x
	b := c.logBegin(borrowSmall()[:0], x.began)
	if x.route != nil {
		b = append(b, `,"route":`...)
		b = strconv.AppendQuote(b, x.route.name)
		b = append(b, `,"pool":`...)
		b = strconv.AppendQuote(b, x.route.backend.pool.name)
		b = append(b, `,"path":`...)
		b = appendTemplate(b, c.req.Bytes(c.req.Path), x.matched)
		b = append(b, `,"bytesIn":`...)
		b = strconv.AppendInt(b, c.bytesIn(), 10)
		b = append(b, `,"bytesOut":`...)
		b = strconv.AppendInt(b, c.down.moved, 10)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(x.status), 10)
	b = append(b, `,"server":`...)
	b = strconv.AppendQuote(b, x.server)
	b = append(b, "}\n"...)
	_, _ = w.Write(b)
	giveBack(b)
}

func (c *tcpConn) logTCP(end *endpoint, began time.Time, in, out int64, err error) {
	w := c.engine.cfg.AccessLog
	if w == nil {
		return
	}
	b := c.logBegin(borrowSmall()[:0], began)
	b = append(b, `,"bytesIn":`...)
	b = strconv.AppendInt(b, in, 10)
	b = append(b, `,"bytesOut":`...)
	b = strconv.AppendInt(b, out, 10)
	b = append(b, `,"clean":`...)
	b = strconv.AppendBool(b, err == nil)
	b = append(b, `,"server":`...)
	b = strconv.AppendQuote(b, end.key.Server)
	b = append(b, "}\n"...)
	_, _ = w.Write(b)
	giveBack(b)
}

// logBegin appends the fields that all lines have.
func (c *client) logBegin(b []byte, began time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = began.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","listener":`...)
	b = strconv.AppendQuote(b, c.listener.name)
	b = append(b, `,"client":`...)
	b = strconv.AppendQuote(b, c.peerText)
	b = append(b, `,"microseconds":`...)
	return strconv.AppendInt(b, time.Since(began).Microseconds(), 10)
}
