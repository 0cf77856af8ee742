package webproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"nbremote/test/lab"
)

// asUser sends a request by a process of another user, with bash alone.
func asUser(t *testing.T, uid uint32, s *stage, path string) string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		lab.Missing(t, "bash")
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", fmt.Sprintf(
		`exec 3<>/dev/tcp/127.0.0.1/%[1]d && printf 'GET %[2]s HTTP/1.1\r\nHost: 127.0.0.1:%[1]d\r\nConnection: close\r\n\r\n' >&3; cat <&3`,
		s.Port, path))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, _ := cmd.Output()
	return string(out)
}

func TestB1_OtherUsers(t *testing.T) {
	if os.Getuid() != 0 {
		lab.Missing(t, "root, to be another user")
	}
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	nonce := "/" + s.NewNonce("/lab")
	for _, path := range []string{"/", nonce} {
		if got := asUser(t, 65534, s, path); got != "" {
			t.Errorf("another user was told %q", got)
		}
	}
	if reached.Load() != 0 {
		t.Error("another user reached the far server")
	}
	if got := asUser(t, 0, s, nonce); !strings.HasPrefix(got, "HTTP/1.1 302") {
		t.Errorf("we were told %q: was the nonce spent by another user?", got)
	}
}

// What binds to 127.0.0.1 only is all we listen on.
func TestB1_ListensOnLoopbackOnly(t *testing.T) {
	s := newStage(t, echo)
	end := fmt.Sprintf(":%04X", s.Port)
	for _, file := range []string{tcp4, tcp6} {
		findSocket(file, func(row procSocket) bool {
			if row.state == stateListen && strings.HasSuffix(row.local, end) && row.local != procAddress([]byte{127, 0, 0, 1}, uint16(s.Port)) {
				t.Errorf("listens on %s", row.local)
			}
			return false
		})
	}
}

// A browser may use an IPv6 socket for an IPv4 address.
func TestB1_PeerOfMappedSocket(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, network := range []string{"tcp4", "mapped"} {
		c, err := dialFrom(network, l.Addr().(*net.TCPAddr).Port)
		if err != nil {
			lab.Missing(t, "IPv6 sockets: "+err.Error())
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		uid, known := peerOf(in.(*net.TCPConn))
		if !known || uid != os.Getuid() {
			t.Errorf("%s: uid %d, %v", network, uid, known)
		}
		c.Close()
		if uid, known := peerOf(in.(*net.TCPConn)); known && uid == 0 {
			t.Errorf("%s: one that is closed shows as root's", network)
		}
		in.Close()
	}
}

// dialFrom connects to 127.0.0.1 by an IPv4 or an IPv6 socket.
func dialFrom(network string, port int) (net.Conn, error) {
	if network == "tcp4" {
		return new(net.Dialer).DialContext(context.Background(), "tcp4", "127.0.0.1:"+strconv.Itoa(port))
	}
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "mapped")
	defer f.Close()
	to := &syscall.SockaddrInet6{Port: port, Addr: [16]byte(append(v4mapped(), 127, 0, 0, 1))}
	if err := syscall.Connect(fd, to); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

func TestProcAddress(t *testing.T) {
	if got := procAddress([]byte{127, 0, 0, 1}, 8890); got != "0100007F:22BA" && got != "7F000001:22BA" {
		t.Error(got)
	}
	if got := procAddress(append(v4mapped(), 127, 0, 0, 1), 80); got != "0000000000000000FFFF00000100007F:0050" && !strings.HasPrefix(got, "00000000000000000000FFFF") {
		t.Error(got)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   113        0 25001 1 0000000000000000 100 0 0 10 0")
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
	f.Add("")
	f.Fuzz(func(t *testing.T, row string) {
		s, ok := parseSocket(row)
		if ok && (s.local == "" || s.state == "") {
			t.Errorf("%q: %+v", row, s)
		}
	})
}
