package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// Piper gives a shell on a host: what is written is its stdin, what is read is
// its stdout. Close ends it, and with it what has taken its place.
type Piper interface {
	Pipe(ctx context.Context) (io.ReadWriteCloser, error)
}

// TakeOver has the shell at the other end of a pipe run body, in which exec
// puts a program in its place. That program has all that is written from then
// on for its stdin; so that no shell reads any of it, nothing may be written
// before the program has said something. What comes back is its output. A
// *NoAnswerError says that the host sent something else.
func TakeOver(pipe io.ReadWriter, body string) (*bufio.Reader, error) {
	nonce := NewNonce()
	run := "nbr_" + nonce
	text := sacrificial + echoMark(nonce) + run + "() {\n:\n" + body + "\n}\nprintf 'begin %s\\n' " + nonce + "; " + run + "; exit\n"
	if _, err := io.WriteString(pipe, text); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(pipe, 64<<10)
	_, err := skipNoise(in, nonce)
	return in, err
}

// Said is the *ScriptError of a program or script that ended with the fields of
// the function fail; nil: these are none of them.
func Said(fields []Field) error {
	var b bytes.Buffer
	for _, f := range fields {
		WriteField(&b, f.Name, string(f.Value))
	}
	e := &ScriptError{Exit: exitFail, Stdout: b.Bytes()}
	if e.field("nbremote.fail") == "" {
		return nil
	}
	return e
}

// IsFail says whether a field is one of those that fail prints.
func IsFail(name string) bool { return strings.HasPrefix(name, "nbremote.") }

// ReadValue reads what stands behind NextField, if it is not longer than most,
// and the newline. The value is in room if that is large enough.
func ReadValue(r *bufio.Reader, size int64, most int, room []byte) ([]byte, error) {
	if size > int64(most) {
		return nil, errLongField
	}
	value := room[:0]
	if size > int64(cap(value)) {
		value = make([]byte, 0, size)
	}
	value = value[:size]
	if _, err := io.ReadFull(r, value); err != nil {
		return nil, err
	}
	return value, endField(r)
}

// endField reads the newline behind a value.
func endField(r *bufio.Reader) error {
	c, err := r.ReadByte()
	if err == nil && c != '\n' {
		err = errLongField
	}
	return err
}

var errLongField = errors.New("a field is longer than was said, or than it may be")
