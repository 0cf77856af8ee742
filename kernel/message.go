package kernel

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"nbremote/internal/remote"
)

// Messages as the Jupyter messaging protocol has them: routing frames, a
// delimiter, the signature, and header, parent, metadata and content, which are
// signed; what follows is not.

const hmacSHA256 = "hmac-sha256"

var delimiter = []byte("<IDS|MSG>")

const signed = 4 // frames

// signature is that of a message's four frames; none without a key.
func signature(key string, parts [][]byte) []byte {
	if key == "" {
		return []byte{}
	}
	mac := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		mac.Write(p)
	}
	return []byte(hex.EncodeToString(mac.Sum(nil)))
}

// parts finds the signature and what it is of; ok: it is a message, and right.
func parts(key string, frames [][]byte) (at int, ok bool) {
	for i, f := range frames {
		if bytes.Equal(f, delimiter) {
			at = i + 1
			return at, len(frames) > at+signed && hmac.Equal(frames[at], signature(key, frames[at+1:at+1+signed]))
		}
	}
	return -1, false
}

// signAnew gives a message that is right by one key the signature of another;
// false: it is a message, and not right.
func signAnew(from, to string, frames [][]byte) bool {
	at, ok := parts(from, frames)
	if ok {
		frames[at] = signature(to, frames[at+1:at+1+signed])
	}
	return ok || at < 0
}

// kindOf is the type of a message that is right, else "".
func kindOf(key string, frames [][]byte) string {
	at, ok := parts(key, frames)
	if !ok {
		return ""
	}
	var header struct {
		Kind string `json:"msg_type"`
	}
	if json.Unmarshal(frames[at+1], &header) != nil {
		return ""
	}
	return header.Kind
}

// answerTo is a reply of a kind to a message, as the kernel would send it.
func answerTo(key, kind string, frames [][]byte, content map[string]string) ([][]byte, error) {
	at, _ := parts(key, frames)
	reply, err := newMessage(key, kind, frames[at+1], content)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(frames[:at-1]), reply...), nil
}

// newMessage is one of a kind from the delimiter on; parent is the header of what
// it is about, nil: of nothing.
func newMessage(key, kind string, parent []byte, content map[string]string) ([][]byte, error) {
	if parent == nil {
		parent = []byte("{}")
	}
	var about struct {
		Session string `json:"session"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(parent, &about); err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{
		"msg_id": remote.NewNonce(), "session": about.Session, "username": "nbremote", "msg_type": kind, "version": cmp.Or(about.Version, "5.3"),
		"date": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	})
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	said := [][]byte{header, parent, []byte("{}"), raw}
	return append([][]byte{delimiter, signature(key, said)}, said...), nil
}
