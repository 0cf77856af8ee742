package session

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxEncoded keeps names of files and of locks within what file systems allow.
const maxEncoded = 120

// Encode makes any name a word of [a-z0-9-] that does not begin with "-" and
// is at most 120 bytes long: the name of a directory and of a tmux session.
// Letters, digits and "-" stay; any other byte, and "z", is "z" and two hex
// digits. Different names have different words. One that would be too long is
// cut and ends with "zz" and a hash: it cannot be decoded.
func Encode(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; plain(c) || c == '-' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "z%02x", c)
		}
	}
	switch {
	case name == "":
		return "z"
	case b.Len() > maxEncoded:
		sum := sha256.Sum256([]byte(name))
		hash := "zz" + hex.EncodeToString(sum[:20])
		return b.String()[:maxEncoded-len(hash)] + hash
	}
	return b.String()
}

func plain(c byte) bool { return c >= 'a' && c < 'z' || c >= '0' && c <= '9' }

// Decode undoes Encode. What Encode does not make is an error, and so is the
// word of a name that was cut: its directory holds the name.
func Decode(enc string) (string, error) {
	var b []byte
	for i := 0; i < len(enc) && enc != "z"; i++ {
		if enc[i] != 'z' {
			b = append(b, enc[i])
			continue
		}
		if i+3 > len(enc) {
			return "", fmt.Errorf("decode the session name %q: it is cut", enc)
		}
		c, err := hex.DecodeString(enc[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("decode the session name %q: %w", enc, err)
		}
		b = append(b, c[0])
		i += 2
	}
	if name := string(b); Encode(name) == enc {
		return name, nil
	}
	return "", fmt.Errorf("decode the session name %q: it is not one of ours", enc)
}
