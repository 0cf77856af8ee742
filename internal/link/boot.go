package link

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

//go:embed relay
var relayFiles embed.FS

// relayParts are the files of the relay's program, in the order in which they
// are one.
var relayParts = []string{"wire", "descriptors", "spool", "stream", "link", "dialing", "listening", "process", "carrier", "relay"}

var relayText = func() string {
	var all []string
	for _, part := range relayParts {
		text, err := relayFiles.ReadFile("relay/" + part + ".py")
		if err != nil {
			panic(err)
		}
		all = append(all, string(text))
	}
	return strings.Join(all, "\n\n")
}()

//go:embed attach.py
var attachText string

// Command line of a carrier's session: all that the login shell is asked to run.
const Shell = "exec /bin/sh -s"

// Host says where on a host the relay lives.
type Host struct {
	Dir    string // sockets and the program: 0700, ours, local to the machine
	Spool  string // what waits during a cut; should not be memory
	Python string // its path; "": python3
	// Seek, with Setup, is sh text that sets NBR_PYTHON where Python is not
	// there; it crosses the line only then. Found is told what it found.
	Seek  string
	Found func(python string)
	// Before are words put before the relay's command when it is started.
	Before []string
	// Setup is sh text that runs first. With it Dir, Spool and Python are not
	// paths but words of sh, such as "$DIR" in double quotes, that have their
	// value after it. Then, when they have been read, Last runs. If it exports
	// NBR_SCOPE, its words come before Before where "… true" works with them.
	Setup, Last string
	// Machine is a word of sh, as Dir is with Setup, that names the machine: no
	// blank is in its first part. Heard is told it before a relay is started. On
	// another than Expect none is, and Read gives an *ElsewhereError.
	Machine string
	Expect  string // the first part; "": any
	Heard   func(machine string)
	// Options of the relay, NAME=VALUE: keep, idle, connect (seconds), quota
	// (bytes), poll. For tests.
	Options []string
}

// relayName names the relay's program and socket: other versions have others.
func relayName() string {
	sum := sha256.Sum256([]byte(relayText))
	return "relay-" + hex.EncodeToString(sum[:6])
}

// Open makes a carrier of a session that runs Shell, or of anything else that
// reads a script and whose rwc is its stdin and stdout. The first Write on the
// carrier, a greeting, goes out with the script; what the host prints before
// the relay answers is skipped. Errors of Read say why no relay could be had.
func (h Host) Open(rwc io.ReadWriteCloser) io.ReadWriteCloser {
	return &boot{ReadWriteCloser: rwc, host: h, nonce: NewID().String()}
}

// String is the ID in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// boot is a carrier that begins with a script.
type boot struct {
	io.ReadWriteCloser
	host  Host
	nonce string

	once  sync.Once
	begun bool
	err   error
	rest  []byte // read, and not part of the noise
}

// Write: only a relay that has answered reads what follows, for some shells
// read ahead.
func (b *boot) Write(p []byte) (int, error) {
	if b.begun {
		return b.ReadWriteCloser.Write(p)
	}
	b.begun = true
	if _, err := io.WriteString(b.ReadWriteCloser, b.host.script(b.nonce, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (b *boot) Read(p []byte) (int, error) {
	b.once.Do(func() { b.err = b.skip() })
	if b.err != nil {
		return 0, b.err
	}
	if len(b.rest) > 0 {
		n := copy(p, b.rest)
		b.rest = b.rest[n:]
		return n, nil
	}
	return b.ReadWriteCloser.Read(p)
}

const sacrificial = ":\n:\n:\n:\n:\n:\n:\n:\n" // for rc files that read from stdin

// script starts the program that hands its stdin and stdout to the relay.
func (h Host) script(nonce string, greeting []byte) string {
	python := h.Python
	if python == "" {
		python = "python3"
	}
	words := []string{quote(python), quote(h.Dir), quote(h.Spool)}
	if h.Setup != "" {
		words = []string{python, h.Dir, h.Spool}
	}
	args := append([]string{relayName(), fmt.Sprint(len(relayText)), nonce, fmt.Sprint(len(h.Before))}, h.Before...)
	var more strings.Builder
	for _, a := range append(args, h.Options...) {
		more.WriteString(" " + quote(a))
	}
	return sacrificial + ": echo " + nonce + "\nnbr_link() {\n:\n" + h.Setup +
		h.where(nonce) + "NBR_PYTHON=" + words[0] + "\nNBR_PYTHON=$(command -v \"$NBR_PYTHON\") || NBR_PYTHON=\n" + h.seek(nonce) +
		"[ -n \"$NBR_PYTHON\" ] || { printf 'fail %s %s\\n' " + nonce + " 'start the relay: there is no python3'; exit; }\n" +
		"set -- " + words[1] + " " + words[2] + "\n" + h.Last +
		"NBR_HELLO=" + hex.EncodeToString(greeting) + "\nexport NBR_HELLO\nexec \"$NBR_PYTHON\" -I -S -c " + quote(attachText) + ` "$@"` + more.String() + "\n}\nnbr_link\n"
}

// seek is the part of the script that asks for more where there is no Python.
func (h Host) seek(nonce string) string {
	if h.Seek == "" {
		return ""
	}
	return "[ -n \"$NBR_PYTHON\" ] || { printf 'seek %s\\n' " + nonce + "; eval \"$(head -c " + fmt.Sprint(len(h.Seek)) + ")\"; " +
		"[ -z \"$NBR_PYTHON\" ] || printf 'found %s %s\\n' " + nonce + " \"$NBR_PYTHON\"; }\n"
}

// where is the part of the script that names the machine, and stops on another
// than is expected.
func (h Host) where(nonce string) string {
	if h.Machine == "" {
		return ""
	}
	text := "printf 'at %s %s\\n' " + nonce + " " + h.Machine + "\n"
	if h.Expect != "" {
		text += "case " + h.Machine + " in " + quote(h.Expect) + "' '*) ;; *) exit ;; esac\n"
	}
	return text
}

func quote(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", `'\''`) + "'"
}

const maxNoise = 1 << 20

// BootError says why a host gave no relay.
type BootError struct {
	Text  string // of the relay's starter; "": it did not answer
	Noise string // the end of what came instead, at most 1 KiB
}

// ElsewhereError is a carrier that leads to another machine than the link is
// with: several have one name.
type ElsewhereError struct{ Machine string }

func (e *ElsewhereError) Error() string {
	name, rest, ok := strings.Cut(e.Machine, " ")
	if ok {
		name = rest
	}
	return "reach the relay: it is on another machine than " + name
}

func (e *BootError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	if said := strings.TrimSpace(e.Noise); said != "" {
		return fmt.Sprintf("start the relay: the host said instead: %q", said)
	}
	return "start the relay: the host said nothing"
}

// skip reads up to the line that says that the relay has the carrier.
func (b *boot) skip() error {
	var noise []byte
	buf := make([]byte, 4096)
	for len(noise) < maxNoise {
		n, err := b.ReadWriteCloser.Read(buf)
		for i, c := range buf[:n] {
			if noise = append(noise, c); c != '\n' {
				continue
			}
			done, lerr := b.line(string(noise[max(0, len(noise)-512):]))
			if lerr != nil {
				return lerr
			}
			if done {
				b.rest = append([]byte(nil), buf[i+1:n]...)
				return nil
			}
		}
		if err == io.EOF {
			return &BootError{Noise: end(noise)}
		}
		if err != nil {
			return err
		}
	}
	return &BootError{Noise: end(noise)}
}

func end(b []byte) string { return string(b[max(0, len(b)-1024):]) }

// line looks at one line of the host's, of which tail is the end.
func (b *boot) line(tail string) (done bool, err error) {
	switch {
	case strings.HasSuffix(tail, "link "+b.nonce+"\n"):
		return true, nil
	case strings.HasSuffix(tail, "need "+b.nonce+"\n"):
		_, err := io.WriteString(b.ReadWriteCloser, relayText)
		return false, err
	case strings.HasSuffix(tail, "seek "+b.nonce+"\n"):
		_, err := io.WriteString(b.ReadWriteCloser, b.host.Seek)
		return false, err
	case strings.HasSuffix(tail, ": echo "+b.nonce+"\n"):
		return false, errors.New("start the relay: the login shell sends back what it is sent")
	}
	if text, ok := b.said(tail, "at"); ok {
		return false, b.at(clean(text))
	}
	if text, ok := b.said(tail, "found"); ok && b.host.Found != nil {
		b.host.Found(text)
		return false, nil
	}
	if text, ok := b.said(tail, "fail"); ok {
		return false, &BootError{Text: clean(text)}
	}
	return false, nil
}

// said is what stands behind a word of ours in the last line of tail.
func (b *boot) said(tail, word string) (text string, ok bool) {
	_, text, ok = strings.Cut(tail, word+" "+b.nonce+" ")
	text = strings.TrimSuffix(text, "\n")
	return text, ok && !strings.Contains(text, "\n")
}

// at hears which machine it is.
func (b *boot) at(machine string) error {
	name, _, _ := strings.Cut(machine, " ")
	if b.host.Expect != "" && name != b.host.Expect {
		return &ElsewhereError{Machine: machine}
	}
	if b.host.Heard != nil {
		b.host.Heard(machine)
	}
	return nil
}

// clean makes what a host said one line of printable ASCII or better.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
