package remote

import (
	"bufio"
	"io"
	"strings"
)

// Follow reads lines to the end of r, gives each to progress (nil = to nobody)
// as it comes, and returns the last ones, at most keep. Lines are trimmed, made
// UTF-8 and cut into pieces of 4 KiB; empty ones are left out.
func Follow(r io.Reader, keep int, progress func(line string)) (last []string, err error) {
	in := bufio.NewReaderSize(r, 4096)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.ToValidUTF8(strings.TrimSpace(string(line)), "?"); text != "" {
			last = append(last[max(0, len(last)-keep+1):], text)
			if progress != nil {
				progress(text)
			}
		}
		switch {
		case err == io.EOF:
			return last, nil
		case err != nil && err != bufio.ErrBufferFull:
			return last, err
		}
	}
}

// EnvName says whether a POSIX shell takes name as a variable's: letters,
// digits and underscores of ASCII, no digit first.
func EnvName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
