//go:build unix

package link

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

type hexed []byte

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type message struct {
	Why, Name    string
	Create       bool
	Laptop, Link hexed
	Relay        hexed
	Epoch, Pos   uint64
	Status       uint8
	Kind, Flags  uint8
	Fields       [][]any
	Stream       uint32
	Payload, Hex hexed
}

type vectors struct {
	Hello, Welcome, Take, Taken, Open, Frames, Bad []message
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// seen is what a parser tells, the parts of data put together.
type seen struct {
	all  []string
	part []byte
}

func (s *seen) data(stream uint32, pos uint64, b []byte, counted int) error {
	s.part = append(s.part, b...)
	if counted > 0 {
		if counted != headSize+len(s.part) {
			return fmt.Errorf("counted %d of %d", counted, len(s.part))
		}
		s.add(kindData, stream, pos+uint64(len(b)-len(s.part)), s.part)
		s.part = nil
	}
	return nil
}

func (s *seen) frame(k kind, stream uint32, pos uint64, payload []byte) error {
	s.add(k, stream, pos, payload)
	return nil
}

func (s *seen) add(k kind, stream uint32, pos uint64, payload []byte) {
	s.all = append(s.all, fmt.Sprintf("%d %d %d %x", k, stream, pos, payload))
}

func TestVectors_Frames(t *testing.T) {
	v := readVectors(t)
	var raw []byte
	var want []string
	for _, f := range v.Frames {
		b := make([]byte, headSize, headSize+len(f.Payload))
		putHead(b, kind(f.Kind), len(f.Payload), f.Stream, f.Pos)
		if b = append(b, f.Payload...); !bytes.Equal(b, f.Hex) {
			t.Errorf("%s: %x, want %x", f.Name, b, f.Hex)
		}
		raw = append(raw, f.Hex...)
		want = append(want, fmt.Sprintf("%d %d %d %x", f.Kind, f.Stream, f.Pos, f.Payload))
	}
	for size := 1; size <= len(raw); size++ {
		var p parser
		var s seen
		for rest := raw; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if err := p.feed(rest[:min(size, len(rest))], &s); err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
		}
		if fmt.Sprint(s.all) != fmt.Sprint(want) {
			t.Fatalf("in pieces of %d: %v", size, s.all)
		}
	}
	for _, f := range v.Bad {
		var p parser
		if p.feed(f.Hex, &seen{}) == nil {
			t.Errorf("taken: %s", f.Why)
		}
	}
}

func TestVectors_Handshake(t *testing.T) {
	v := readVectors(t)
	for _, h := range v.Hello {
		if got := (hello{h.Create, ID(h.Laptop), ID(h.Link), h.Epoch}).bytes(); !bytes.Equal(got, h.Hex) {
			t.Errorf("hello: %x, want %x", got, h.Hex)
		}
	}
	for _, w := range v.Welcome {
		if got, err := parseWelcome(w.Hex); err != nil || got != (welcome{w.Status, ID(w.Relay), w.Epoch}) {
			t.Errorf("welcome: %+v, %v", got, err)
		}
	}
	for _, k := range v.Take {
		if got := (take{k.Status, k.Epoch, k.Pos}).bytes(); !bytes.Equal(got, k.Hex) {
			t.Errorf("take: %x, want %x", got, k.Hex)
		}
	}
	for _, k := range v.Taken {
		if got, err := parseTaken(k.Hex); err != nil || got != (take{k.Status, k.Epoch, k.Pos}) {
			t.Errorf("taken: %+v, %v", got, err)
		}
	}
	for _, o := range v.Open {
		made := opening{kind: o.Kind, flags: o.Flags}
		for _, f := range o.Fields {
			value, _ := hex.DecodeString(f[1].(string))
			made.fields = append(made.fields, field{uint8(f[0].(float64)), string(value)})
		}
		if got, err := made.bytes(); err != nil || !bytes.Equal(got, o.Hex) {
			t.Errorf("open: %x, %v, want %x", got, err, o.Hex)
		}
	}
}

func check(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(python(t), append([]string{"-B", "testdata/check.py", relayFile(t)}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	t.Logf("%v: %s", args, out)
}

func TestVectors_Relay(t *testing.T) { check(t, "vectors", "testdata/vectors.json") }

// Frames that make some sense, some of them damaged: a relay's link refuses
// them or goes on, and neither grows nor leaves anything behind.
func TestD10_FuzzRelay(t *testing.T) {
	rounds := "1000"
	if os.Getenv("NBREMOTE_SOAK") != "" {
		rounds = "50000"
	}
	for i := range int64(2) {
		check(t, "fuzz", fmt.Sprint(time.Now().UnixNano()+i), rounds)
	}
}
