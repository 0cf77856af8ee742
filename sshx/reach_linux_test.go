package sshx

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullDoor listens and drops every further connect, until it accepts.
func fullDoor(t *testing.T) (*net.TCPListener, *Target) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	number, _ := strconv.Atoi(port)
	first, err := net.Dial("tcp", l.Addr().String()) // all that the queue takes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close() })
	return l.(*net.TCPListener), &Target{Name: "gpu1", Host: host, Port: number}
}

// Connects that go unanswered are repeated, and only one of them is kept.
func TestRedials(t *testing.T) {
	door, target := fullDoor(t)
	got := make(chan net.Conn, 1)
	go func() {
		c, err := new(Redials).again(t.Context(), target, time.Millisecond)
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	select {
	case <-got:
		t.Fatal("the queue was not full")
	case <-time.After(1500 * time.Millisecond): // several of them are under way
	}
	var heard []net.Conn
	for {
		_ = door.SetDeadline(time.Now().Add(2 * time.Second))
		c, err := door.Accept()
		if err != nil {
			break
		}
		defer c.Close()
		heard = append(heard, c)
	}
	c := <-got
	if c == nil {
		t.FailNow()
	}
	defer c.Close()
	open := 0
	for _, one := range heard[1:] { // the first is fullDoor's
		if one.RemoteAddr().String() == c.LocalAddr().String() {
			open++
			continue
		}
		_ = one.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := one.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
			t.Errorf("another connection is still there: %d bytes, %v", n, err)
		}
	}
	if open != 1 {
		t.Errorf("%d connections were accepted, ours %d times", len(heard), open)
	}
}

// Only the youngest dial is begun again, and none once one got through.
func TestRedials_OnlyOneRepeats(t *testing.T) {
	var d Redials
	one, reached := d.begin()
	if !d.mayRepeat(one, reached) {
		t.Error("the only one may not")
	}
	two, reached2 := d.begin()
	if d.mayRepeat(one, reached) || !d.mayRepeat(two, reached2) {
		t.Error("not the youngest")
	}
	d.reach()
	if d.mayRepeat(two, reached2) {
		t.Error("one got through")
	}
	if three, reached3 := d.begin(); !d.mayRepeat(three, reached3) {
		t.Error("after that, another cut")
	}
}

func isTimeout(err error) bool {
	slow, ok := err.(net.Error)
	return ok && slow.Timeout()
}

func TestRedials_Refused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if c, err := new(Redials).again(context.Background(), &Target{Host: "127.0.0.1", Port: port}, time.Millisecond); err == nil {
		c.Close()
		t.Error("it connected")
	}
}

func TestRedials_Ends(t *testing.T) {
	_, target := fullDoor(t)
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	if c, err := new(Redials).again(ctx, target, time.Millisecond); err == nil {
		c.Close()
		t.Error("it connected")
	}
}
