package remote

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
)

// NewStream gives the output of a framed script as it comes, without the
// frame. It ends with io.EOF when the script ended with status 0, a
// *ScriptError when with another (its Stdout is only what fail said), and an
// error that is io.ErrUnexpectedEOF when the frame did not end. Close closes
// body.
func NewStream(body io.ReadCloser, nonce string) io.ReadCloser {
	return &stream{body: body, in: bufio.NewReaderSize(body, 32<<10), nonce: nonce, end: endMark(nonce), fresh: true}
}

// failMark begins what the function fail prints; it is kept back, up to
// maxFail bytes, until the status says whether it was fail.
var failMark = []byte("nbremote.class ")

const maxFail = 4 << 10

type stream struct {
	body  io.ReadCloser
	in    *bufio.Reader
	nonce string
	end   []byte
	begun bool
	fresh bool   // what is next begins a line
	ready []byte // of the script, to be given
	held  []byte // may be the beginning of the end mark, or what fail said
	err   error
}

func (s *stream) Close() error { return s.body.Close() }

func (s *stream) Read(p []byte) (int, error) {
	for len(s.ready) == 0 && s.err == nil && len(p) > 0 {
		s.fill()
	}
	if len(s.ready) == 0 {
		return 0, s.err
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// fill reads once and sorts what came into ready, held and the end.
func (s *stream) fill() {
	if !s.begun {
		_, s.err = skipNoise(s.in, s.nonce)
		s.begun = true
		return
	}
	if _, err := s.in.Peek(1); err != nil {
		s.give(s.held, 0)
		s.err = ended(err, nil, true)
		return
	}
	piece, _ := s.in.Peek(s.in.Buffered())
	b := append(s.held, piece...)
	if i := bytes.Index(b, s.end); i >= 0 {
		s.in.Discard(i + len(s.end) - len(s.held))
		s.finish(b[:i:i])
		return
	}
	s.in.Discard(len(piece))
	keep := max(overlap(b, s.end), overlap(b, failMark))
	if i := s.failAt(b); i >= 0 && len(b)-i <= maxFail {
		keep = max(keep, len(b)-i)
	}
	s.give(b, keep)
}

// give makes b ready but for its last bytes, which are held.
func (s *stream) give(b []byte, keep int) {
	i := len(b) - keep
	s.ready, s.held = b[:i:i], bytes.Clone(b[i:])
	if i > 0 {
		s.fresh = b[i-1] == '\n'
	}
}

// failAt is where what fail said may begin, -1 if nowhere.
func (s *stream) failAt(b []byte) int {
	if s.fresh && bytes.HasPrefix(b, failMark) {
		return 0
	}
	if i := bytes.LastIndex(b, append([]byte("\n"), failMark...)); i >= 0 {
		return i + 1
	}
	return -1
}

// finish reads the status behind the end mark; b is what came before it.
func (s *stream) finish(b []byte) {
	status, ok, err := readStatus(s.in)
	if err != nil {
		s.give(b, 0)
		s.err = ended(err, nil, true)
		return
	}
	if !ok {
		s.give(append(append(b, s.end...), status...), 0)
		return
	}
	s.err = io.EOF
	n, _ := strconv.Atoi(string(status))
	var said []byte
	if i := s.failAt(b); n == exitFail && i >= 0 {
		b, said = b[:i], b[i:]
	}
	if n != 0 {
		s.err = &ScriptError{Exit: n, Stdout: said}
	}
	s.give(b, 0)
}

// overlap is how many of the last bytes of b are the first of mark.
func overlap(b, mark []byte) int {
	for n := min(len(b), len(mark)-1); n > 0; n-- {
		if bytes.HasSuffix(b, mark[:n]) {
			return n
		}
	}
	return 0
}
