package webproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	tcp4 = "/proc/self/net/tcp"
	tcp6 = "/proc/self/net/tcp6"

	stateListen = "0A"
)

// guard drops the connections of other users.
func guard(l net.Listener) net.Listener { return &guarded{Listener: l, allowed: allowedUsers()} }

// allowedUsers is us. In WSL what a browser on Windows connects to comes from
// a relay that runs as root.
func allowedUsers() map[int]bool {
	users := map[int]bool{os.Getuid(): true}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	if bytes.Contains(bytes.ToLower(release), []byte("microsoft")) {
		users[0] = true
	}
	return users
}

type guarded struct {
	net.Listener
	allowed map[int]bool
}

func (g *guarded) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &guardedConn{TCPConn: tcp, allowed: g.allowed}, err
	}
	return c, err
}

// guardedConn asks whose it is before the first byte is read, so that asking
// holds up nobody else.
type guardedConn struct {
	*net.TCPConn
	allowed map[int]bool
	once    sync.Once
}

func (c *guardedConn) Read(b []byte) (int, error) {
	c.once.Do(func() {
		if uid, known := peerOf(c.TCPConn); known && !c.allowed[uid] {
			c.TCPConn.Close()
		}
	})
	return c.TCPConn.Read(b)
}

// peerOf tells whose socket is at the other end of a loopback connection. It
// is not known for one that comes from another network namespace.
func peerOf(c *net.TCPConn) (uid int, known bool) {
	near, far := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	a, b := far.Addr().Unmap().AsSlice(), near.Addr().Unmap().AsSlice()
	type place struct{ file, local, remote string }
	places := []place{
		{tcp4, procAddress(a, far.Port()), procAddress(b, near.Port())},
		{tcp6, procAddress(append(v4mapped(), a...), far.Port()), procAddress(append(v4mapped(), b...), near.Port())},
	}
	// Twice: the kernel may skip a row while others come and go.
	for _, p := range append(places, places...) {
		s, found := findSocket(p.file, func(s procSocket) bool { return s.local == p.local && s.remote == p.remote })
		switch {
		case !found:
		case s.inode == 0:
			return -1, true // closed by its owner: it shows as root's, and waits for no answer
		default:
			return s.uid, true
		}
	}
	return 0, false
}

func v4mapped() []byte { return []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff} }

// procAddress is an address as /proc/net/tcp writes it: 32-bit words in the
// machine's order.
func procAddress(ip []byte, port uint16) string {
	words := make([]byte, 0, 16)
	for i := 0; i < len(ip); i += 4 {
		words = binary.BigEndian.AppendUint32(words, binary.NativeEndian.Uint32(ip[i:]))
	}
	return fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(words)), port)
}

// procSocket is a row of /proc/net/tcp.
type procSocket struct {
	local, remote, state string
	uid                  int
	inode                uint64
}

func findSocket(file string, is func(procSocket) bool) (procSocket, bool) {
	f, err := os.Open(file)
	if err != nil {
		return procSocket{}, false
	}
	defer f.Close()
	return scanSockets(f, is)
}

func scanSockets(r io.Reader, is func(procSocket) bool) (procSocket, bool) {
	rows := bufio.NewScanner(bufio.NewReaderSize(r, bufferSize))
	for rows.Scan() {
		if s, ok := parseSocket(rows.Text()); ok && is(s) {
			return s, true
		}
	}
	return procSocket{}, false
}

func parseSocket(row string) (s procSocket, ok bool) {
	f := strings.Fields(row)
	if len(f) < 10 {
		return s, false
	}
	s.local, s.remote, s.state = f[1], f[2], f[3]
	var err1, err2 error
	s.uid, err1 = strconv.Atoi(f[7])
	s.inode, err2 = strconv.ParseUint(f[9], 10, 64)
	return s, err1 == nil && err2 == nil
}

// listenerOf names the process that listens on a port of 127.0.0.1 or of every
// address, if we may see it.
func listenerOf(port int) string {
	p := uint16(port)
	loopback := []byte{127, 0, 0, 1}
	ways := []string{procAddress(loopback, p), procAddress(make([]byte, 4), p),
		procAddress(append(v4mapped(), loopback...), p), procAddress(make([]byte, 16), p)}
	for _, file := range []string{tcp4, tcp6} {
		s, found := findSocket(file, func(s procSocket) bool {
			return s.state == stateListen && slices.Contains(ways, s.local)
		})
		if !found {
			continue
		}
		if pid := holderOf(fmt.Sprintf("socket:[%d]", s.inode)); pid != "" {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s, pid %s", strings.TrimSpace(string(name)), pid)
		}
	}
	return ""
}

// holderOf finds the process that has a socket open.
func holderOf(socket string) (pid string) {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == socket {
			return strings.Split(link, "/")[2]
		}
	}
	return ""
}
