package transfer

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// A folder whose stream breaks again and again arrives whole, with the modes of
// its folders, and is counted once. One that brings nothing more is given up,
// and so is one that nobody wants to begin again.
func TestCopy_BeginsAgain(t *testing.T) {
	was := testOnlyPause
	testOnlyPause = time.Millisecond
	defer func() { testOnlyPause = was }()
	for _, way := range []string{"get", "put"} {
		h := newHost(t)
		from, to, copying, wish := h.folder(way)
		for n := range 10 {
			write(t, fmt.Sprintf("%s/proj/d%d/f", from, n), 1<<20-n, 0o600)
			os.Chmod(fmt.Sprintf("%s/proj/d%d", from, n), 0o700)
		}
		again := 0
		wish.Broke = func(error) bool { again++; return true }
		r, err := copying(t, breaking{h, 3 << 20}, wish)
		if err != nil || r.Files != 10 || r.Already != 0 || r.Failed != 0 || r.Bytes != 10<<20-45 || r.AllBytes != r.Bytes || again < 3 {
			t.Errorf("%s: %+v, %v; it began again %d times", way, r, err, again)
		}
		for _, name := range append(glob(t, to+"/new/*/.nbremote-*"), glob(t, to+"/new/.nbremote-*")...) { // its Python was killed
			os.Remove(name)
		}
		if got, want := listing(t, to+"/new"), listing(t, from+"/proj"); got != want {
			t.Errorf("%s: %s, want %s", way, got, want)
		}

		var lost *BrokenError
		wish.To = to + "/other"
		again = 0
		if r, err := copying(t, breaking{h, 100 << 10}, wish); !errors.As(err, &lost) || r.Files != 0 || again < maxFruitless || again > 5*maxFruitless {
			t.Errorf("%s: %+v, %v; it began again %d times", way, r, err, again)
		}
		wish.Broke = func(error) bool { return false }
		if r, err := copying(t, breaking{h, 3 << 20}, wish); !errors.As(err, &lost) || r.AllFiles != 10 {
			t.Errorf("%s: %+v, %v", way, r, err)
		}
	}
}
