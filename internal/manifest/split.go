package manifest

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// rawDocument is the text of one YAML document.
type rawDocument struct {
	text []byte
	// firstLine is the number of the file's line on which text starts, from 1.
	firstLine int
}

var (
	errNotUTF8   = errors.New("the file is not UTF-8 text: save it as UTF-8")
	errSeparator = errors.New("the file holds an invisible line separator (U+0085, U+2028 or U+2029), which editors show as nothing: remove it, it may come from a word processor or a web page")
)

// split cuts a file into documents at lines that start with --- or ... (YAML 1.2, sections 6.8
// and 9.1: such lines end a document even within a multi-line text). So an error in one document
// does not spoil the next. Documents without content are left out.
func split(text []byte) ([]rawDocument, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errNotUTF8
	}
	if bytes.ContainsAny(text, "\u0085\u2028\u2029") {
		return nil, errSeparator
	}
	text = lineFeeds(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	var docs []rawDocument
	current := rawDocument{firstLine: 1}
	line := 0
	for len(text) > 0 {
		line++
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		l := text[:end]
		text = text[end:]
		if rest, marker := cutMarker(l); marker {
			docs = appendDocument(docs, current)
			// The line stays, without its marker, so that numbers fit and --- {a: b} is read.
			current = rawDocument{text: bytes.Clone(rest), firstLine: line}
			continue
		}
		current.text = append(current.text, l...)
	}
	return appendDocument(docs, current), nil
}

// lineFeeds makes every line end in one line feed, as YAML reads it (YAML 1.2, section 5.4).
func lineFeeds(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
}

func cutMarker(line []byte) (rest []byte, ok bool) {
	for _, marker := range []string{"---", "..."} {
		rest, ok := bytes.CutPrefix(line, []byte(marker))
		if ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0) {
			return rest, true
		}
	}
	return nil, false
}

func appendDocument(docs []rawDocument, d rawDocument) []rawDocument {
	for line := range bytes.Lines(d.text) {
		if l := bytes.TrimSpace(line); len(l) > 0 && l[0] != '#' {
			return append(docs, d)
		}
	}
	return docs
}
