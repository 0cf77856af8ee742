package ui

import (
	"io"
	"os"
	"sync"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

var askSignals = []os.Signal{os.Interrupt}

func stops(os.Signal) bool { return false }
func stopHere()            {}

// tty is the console. Its own line mode cannot be woken, so keys are read one
// by one and the line is edited here: Enter and Backspace only.
type tty struct {
	in, out, woken windows.Handle

	mu     sync.Mutex // guards what follows, and the life of the handles
	echo   bool
	before *uint32
	closed bool
	// Of a raw terminal only:
	beforeOut uint32
	high      rune // half of a character
	rest      []byte
}

func openTTY() (*tty, error) {
	in, err := console("CONIN$")
	if err != nil {
		return nil, err
	}
	out, err := console("CONOUT$")
	if err != nil {
		windows.CloseHandle(in)
		return nil, err
	}
	woken, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		windows.CloseHandle(in)
		windows.CloseHandle(out)
		return nil, err
	}
	return &tty{in: in, out: out, woken: woken}, nil
}

func console(name string) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	return windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
}

func (t *tty) close() {
	t.restore(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, h := range []windows.Handle{t.in, t.out, t.woken} {
		windows.CloseHandle(h)
	}
}

func (t *tty) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		windows.SetEvent(t.woken)
	}
}

func (t *tty) setMode(echo bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var mode uint32
	if err := windows.GetConsoleMode(t.in, &mode); err != nil {
		return err
	}
	t.echo = echo
	if t.before == nil {
		t.before = &mode
	}
	return windows.SetConsoleMode(t.in, windows.ENABLE_PROCESSED_INPUT)
}

func (t *tty) restore(drop bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil || t.closed {
		return
	}
	if drop {
		windows.FlushConsoleInputBuffer(t.in)
	}
	windows.SetConsoleMode(t.in, *t.before)
	if t.beforeOut != 0 {
		windows.SetConsoleMode(t.out, t.beforeOut)
	}
	t.before = nil
}

func (t *tty) write(s string) error {
	for text := utf16.Encode([]rune(s)); len(text) > 0; {
		var n uint32
		if err := windows.WriteConsole(t.out, &text[0], uint32(len(text)), &n, nil); err != nil {
			return err
		}
		text = text[min(int(n), len(text)):]
	}
	return nil
}

// inputRecord is INPUT_RECORD with its KEY_EVENT_RECORD.
type inputRecord struct {
	kind    uint16
	_       uint16
	down    int32
	repeat  uint16
	key     uint16
	scan    uint16
	char    uint16
	control uint32
}

const keyEvent = 1

var readConsoleInput = windows.NewLazySystemDLL("kernel32.dll").NewProc("ReadConsoleInputW")

// readKey gives the next character typed; errStopped when woken.
func (t *tty) readKey() (uint16, error) {
	for {
		which, err := windows.WaitForMultipleObjects([]windows.Handle{t.woken, t.in}, false, windows.INFINITE)
		if err != nil {
			return 0, err
		}
		if which == windows.WAIT_OBJECT_0 {
			return 0, errStopped
		}
		var r inputRecord
		var n uint32
		ok, _, err := readConsoleInput.Call(uintptr(t.in), uintptr(unsafe.Pointer(&r)), 1, uintptr(unsafe.Pointer(&n)))
		if ok == 0 {
			return 0, err
		}
		if n == 1 && r.kind == keyEvent && r.down != 0 && r.char != 0 {
			return r.char, nil
		}
	}
}

func (t *tty) readLine() (string, error) {
	var line []uint16
	for {
		c, err := t.readKey()
		switch {
		case err != nil:
			return "", err
		case c == '\r' || c == '\n':
			if t.echo {
				t.write("\r\n")
			}
			return string(utf16.Decode(line)), nil
		case c == 0x1a && len(line) == 0: // ^Z
			return "", io.EOF
		case c == '\b':
			line = t.back(line)
		case c >= 0x20:
			line = append(line, c)
			if t.echo {
				t.write(string(utf16.Decode([]uint16{c})))
			}
		}
		if len(line) > maxAnswer {
			return "", errTooLong
		}
	}
}

func (t *tty) back(line []uint16) []uint16 {
	if len(line) == 0 {
		return line
	}
	if t.echo {
		t.write("\b \b")
	}
	return line[:len(line)-1]
}
