package remote

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Field is one thing that a script told with put or putfile.
type Field struct {
	Name  string
	Value []byte // a part of what was parsed
}

const maxName = 64

// ParseFields reads "NAME LEN\nVALUE\n" to the end of b. Anything else is an
// error, with the fields before it.
func ParseFields(b []byte) ([]Field, error) {
	var out []Field
	for rest := b; len(rest) > 0; {
		f, next, err := parseField(rest)
		if err != nil {
			return out, fmt.Errorf("parse the answer at byte %d: %w", len(b)-len(rest), err)
		}
		out = append(out, f)
		rest = next
	}
	return out, nil
}

// NextField reads the name of the field that comes next, and how long its value
// is. The value is for the caller to read, and the newline behind it.
func NextField(r *bufio.Reader) (name string, size int64, err error) {
	head := make([]byte, 0, maxName+24)
	for {
		c, err := r.ReadByte()
		if err != nil {
			return "", 0, err
		}
		if c == '\n' {
			break
		}
		if head = append(head, c); len(head) == cap(head) {
			return "", 0, fmt.Errorf("no field begins here: %q", head)
		}
	}
	text, digits, ok := bytes.Cut(head, []byte(" "))
	size, err = strconv.ParseInt(string(digits), 10, 64)
	if !ok || !goodName(text) || err != nil || size < 0 {
		return "", 0, fmt.Errorf("no field: %q", head)
	}
	return string(text), size, nil
}

func parseField(b []byte) (f Field, rest []byte, err error) {
	head, _, ok := bytes.Cut(b[:min(len(b), maxName+12)], []byte("\n"))
	if !ok {
		return f, nil, fmt.Errorf("no field begins here")
	}
	name, size, ok := bytes.Cut(head, []byte(" "))
	if !ok || !goodName(name) {
		return f, nil, fmt.Errorf("no name of a field: %q", head)
	}
	n, err := strconv.Atoi(string(size))
	if err != nil || n < 0 || strconv.Itoa(n) != string(size) {
		return f, nil, fmt.Errorf("no length of a field: %q", head)
	}
	rest = b[len(head)+1:]
	if len(rest) <= n || rest[n] != '\n' {
		return f, nil, fmt.Errorf("field %s is not %d bytes long", name, n)
	}
	return Field{Name: string(name), Value: rest[:n:n]}, rest[n+1:], nil
}

func goodName(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxName
}

// WriteField writes a field as NextField reads it.
func WriteField(w io.Writer, name, value string) error {
	_, err := io.WriteString(w, name+" "+strconv.Itoa(len(value))+"\n"+value+"\n")
	return err
}
