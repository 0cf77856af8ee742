package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	maxSize  = 1 << 20
	maxDepth = 32  // of brackets; the file needs three
	maxDots  = 256 // in one line: a.b.c is three tables deep
)

// read gives the text of the file at path, "" when there is none. It opens
// nothing but a regular file that only its owner can change, and never waits.
func read(path string) (string, error) {
	info, err := os.Stat(path) // a link is fine: dotfiles are often kept elsewhere
	switch {
	case errors.Is(err, fs.ErrNotExist) || notDirectory(err):
		return "", nil
	case err != nil:
		return "", &Error{Path: path, Text: "cannot be read: " + reason(err), Try: "ls -ld " + path, err: err}
	case !info.Mode().IsRegular():
		return "", notRegular(path, info)
	}
	f, err := openNow(path)
	if err != nil {
		return "", &Error{Path: path, Text: "cannot be read: " + reason(err), Try: "chmod u+r " + path, err: err}
	}
	defer f.Close()
	return readFile(path, f)
}

func readFile(path string, f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", &Error{Path: path, Text: "cannot be read: " + reason(err), err: err}
	}
	if !info.Mode().IsRegular() { // it changed since it was looked at
		return "", notRegular(path, info)
	}
	if err := onlyOursToChange(path, info); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", &Error{Path: path, Text: "cannot be read: " + reason(err), err: err}
	}
	if len(raw) > maxSize {
		return "", &Error{Path: path, Text: fmt.Sprintf("larger than %d MiB: not a configuration of nbremote", maxSize>>20), Try: "mv " + path + " " + path + ".old"}
	}
	return plainText(path, raw)
}

func notRegular(path string, info fs.FileInfo) error {
	what := "not a regular file"
	if info.IsDir() {
		what = "a directory, not a file"
	}
	return &Error{Path: path, Text: what, Try: "mv " + path + " " + path + ".old"}
}

// plainText checks the encoding. A byte order mark of UTF-8 and CRLF are fine.
func plainText(path string, raw []byte) (string, error) {
	utf16 := bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff})
	if nul := bytes.IndexByte(raw, 0); utf16 || nul >= 0 {
		return "", &Error{Path: path, Line: lineAt(raw, max(nul, 0)), Text: "not UTF-8 but UTF-16, or no text at all", Try: "iconv -f UTF-16 -t UTF-8, or save it as UTF-8 in the editor"}
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			return "", &Error{Path: path, Line: lineAt(raw, i), Text: fmt.Sprintf("byte 0x%02x is not UTF-8", raw[i]), Try: "save it as UTF-8 in the editor"}
		}
		i += size
	}
	return string(raw), tooDeep(path, raw)
}

// tooDeep refuses what costs the parser a stack frame for each byte. Brackets
// within text are counted too: a file of ours has few of either.
func tooDeep(path string, raw []byte) error {
	depth, dots := 0, 0
	for i, b := range raw {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '.':
			dots++
		case '\n':
			dots = 0
		}
		if depth > maxDepth || dots > maxDots {
			return &Error{Path: path, Line: lineAt(raw, i), Text: "nested too deeply", Try: "nbremote config lists what it understands"}
		}
	}
	return nil
}

func lineAt(raw []byte, at int) int { return bytes.Count(raw[:at], []byte("\n")) + 1 }

// reason is the system's word alone: the path is said already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return strings.ToLower(err.Error())
}
