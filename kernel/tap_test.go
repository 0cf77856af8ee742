package kernel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// written is a connection that keeps what it is given.
type written struct {
	net.Conn
	all bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) { return w.all.Write(b) }

// published are a greeting, a command and messages of iopub, the last of them
// of any size.
func published() []byte {
	out := append(make([]byte, greeting), flagCommand, 3, 'R', 'D', 'Y')
	for i := range 4 {
		cell := fmt.Sprintf(`{"msg_type":"execute_request","session":"s%d"}`, i)
		out = append(out, wire([][]byte{[]byte("stream"), delimiter, []byte("sig"), []byte(`{"msg_type":"stream"}`), []byte(cell), []byte("{}"), bytes.Repeat([]byte{byte(i)}, i*9000)})...)
		out = append(out, wire([][]byte{nil})...)
	}
	return out
}

// However its bytes come, what is ours stands between two messages, and all
// else is as it was.
func TestTap(t *testing.T) {
	all := published()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		w := &written{}
		tap := newTap(w)
		at := random.IntN(len(all) + 1)
		told := false
		for rest := all; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1<<random.IntN(16)))
			if written := len(all) - len(rest); !told && written >= at {
				told = true
				tap.tell("k", "not done")
			}
			if m, err := tap.Write(rest[:n]); err != nil || m != n {
				t.Fatalf("%d of %d, %v", m, n, err)
			}
			rest = rest[n:]
		}
		if !told {
			tap.tell("k", "not done")
		}
		got := w.all.Bytes()
		i := bytes.Index(got, append([]byte{flagMore, 6}, "stream\x01\x09<IDS|MSG>\x01\x40"...))
		end := bytes.Index(got, []byte(`not done"}`)) + len(`not done"}`)
		if i < 0 || end < i || !bytes.Equal(append(bytes.Clone(got[:i]), got[end:]...), all) {
			t.Fatalf("told after %d: at %d to %d", at, i, end)
		}
		if begins := wholeUpTo(all, i); !begins {
			t.Fatalf("told after %d: within a message, at %d", at, i)
		}
		if said := string(got[i:end]); i > greeting+5 && !strings.Contains(said, `"msg_type":"execute_request"`) {
			t.Fatalf("it is of no cell: %q", said)
		}
	}
}

// wholeUpTo says whether messages end at i.
func wholeUpTo(all []byte, i int) bool {
	t := newTap(&written{})
	for b := all[:i]; len(b) > 0; {
		b = b[t.follow(b):]
	}
	return !t.within
}

// A long frame is not kept, and what is no message is passed on as it is.
func TestTap_Odd(t *testing.T) {
	w := &written{}
	tap := newTap(w)
	in := append(make([]byte, greeting), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	in = append(in, make([]byte, 1<<20)...)
	tap.Write(in)
	tap.tell("k", "not done")
	if !bytes.Equal(w.all.Bytes(), in) || len(tap.parts) != 1 || len(tap.parts[0]) > tapMost {
		t.Errorf("%d of %d bytes; %d parts", w.all.Len(), len(in), len(tap.parts))
	}
}
