package ui

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds one line of foreign text on the terminal, in bytes.
const maxLine = 4096

// Safe makes foreign text harmless on a terminal and keeps it readable: control
// characters (C0 but \n and \t, DEL, C1), what turns the direction of writing
// or hides text, and bytes that are not UTF-8 become \x1b, \u202e and the like.
// CRLF becomes LF. A line is cut after 4 KiB.
func Safe(s string) string {
	var e escaper
	out := e.add(nil, []byte(s))
	return string(e.rest(out))
}

// SafeWriter is Safe for a stream: what it writes to w is the same however the
// input is split. At most three bytes wait for the next Write.
func SafeWriter(w io.Writer) io.Writer { return &safeWriter{w: w} }

// OutputWriter is SafeWriter for what a program prints line by line: a line is
// not cut, and \r goes back to its beginning, as a progress bar does.
func OutputWriter(w io.Writer) io.Writer { return &safeWriter{w: w, e: escaper{output: true}} }

type safeWriter struct {
	w io.Writer
	e escaper
}

func (s *safeWriter) Write(p []byte) (int, error) {
	if _, err := s.w.Write(s.e.add(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escaper escapes a stream; the zero value is at the start of a line.
type escaper struct {
	output bool   // for OutputWriter
	held   []byte // an unfinished character, or \r that may belong to \n
	line   int    // bytes written of this line
}

const cutMark = " [cut]"

func (e *escaper) add(out, in []byte) []byte {
	if len(e.held) > 0 {
		in = append(e.held, in...)
		e.held = nil
	}
	for len(in) > 0 {
		if e.output && in[0] == '\r' {
			out, in = append(out, '\r'), in[1:]
			continue
		}
		if !utf8.FullRune(in) || (len(in) == 1 && in[0] == '\r') {
			e.held = bytes.Clone(in)
			return out
		}
		r, size := utf8.DecodeRune(in)
		if r == '\r' && in[1] == '\n' {
			in = in[1:]
			continue
		}
		out = e.put(out, r, in[:size])
		in = in[size:]
	}
	return out
}

// rest ends the stream: what was held back is all there is.
func (e *escaper) rest(out []byte) []byte {
	for _, b := range e.held {
		out = e.one(out, fmt.Appendf(nil, `\x%02x`, b))
	}
	e.held = nil
	return out
}

func (e *escaper) put(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == '\n':
		e.line = 0
		return append(out, '\n')
	case r == utf8.RuneError && len(raw) == 1:
		return e.one(out, fmt.Appendf(nil, `\x%02x`, raw[0]))
	case !harmful(r):
		return e.one(out, raw)
	case r < 0x80:
		return e.one(out, fmt.Appendf(nil, `\x%02x`, r))
	case r < 0x10000:
		return e.one(out, fmt.Appendf(nil, `\u%04x`, r))
	}
	return e.one(out, fmt.Appendf(nil, `\U%08x`, r))
}

// one appends a character unless the line is full.
func (e *escaper) one(out, c []byte) []byte {
	switch {
	case e.output:
	case e.line > maxLine:
		return out
	case e.line+len(c) > maxLine:
		e.line = maxLine + 1
		return append(out, cutMark...)
	}
	e.line += len(c)
	return append(out, c...)
}

// harmful are the characters that a terminal obeys or that mislead a reader.
func harmful(r rune) bool {
	switch {
	case r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true // separators of lines, direction of writing
	case r == 0x200b, r >= 0x2060 && r <= 0x2064, r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return true // nothing to be seen of them
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}

// SafeJSON escapes within JSON text what encoding/json leaves as it is and a
// terminal would obey. The meaning stays the same.
func SafeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		switch {
		case r < 0x7f || !harmful(r):
			out = append(out, raw[:size]...)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		raw = raw[size:]
	}
	return out
}
