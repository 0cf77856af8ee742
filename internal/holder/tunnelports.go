package holder

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"nbremote/internal/socks"
	"nbremote/internal/webproxy"
)

const (
	firstProxyPort, lastProxyPort = 8157, 8199
	firstPACPort, lastPACPort     = 8200, 8249
)

// proxyPort is the port that was asked for, which is the proxy's own from then
// on; else its own; else, while that is taken, a free one.
func (t *tunnel) proxyPort() (net.Listener, error) {
	kept := t.h.memory.proxy(t.is.Name)
	own := kept.Port
	if t.is.Port != 0 {
		own = t.is.Port
	}
	var l net.Listener
	var err error
	if own != 0 {
		l, err = webproxy.Listen(own)
	}
	switch {
	case err != nil && t.is.Port != 0:
		return nil, notListening(err, own, "leave out --port: a free one is found and kept")
	case err != nil:
		t.is.Moved = own
		if taken := new(webproxy.TakenError); errors.As(err, &taken) {
			t.is.TakenBy = taken.By
		}
	}
	if l == nil {
		if l, err = t.free(firstProxyPort, lastProxyPort, kept); err != nil {
			return nil, err
		}
	}
	t.is.Port = portOf(l)
	if t.is.Moved == 0 {
		kept.Port = t.is.Port
		t.h.memory.setProxy(t.is.Name, kept)
	}
	return l, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// free is a port that nobody has, here or, as far as is remembered, tomorrow.
func (t *tunnel) free(first, last int, own keptProxy) (net.Listener, error) {
	others := t.h.memory.others("")
	for port := first; port <= last; port++ {
		if others[port] && port != own.Port && port != own.PACPort {
			continue
		}
		if l, err := webproxy.Try(port); err == nil {
			return l, nil
		}
	}
	return webproxy.Listen(0)
}

// servePAC serves the script, where there are domains. Called with t.mu held.
func (t *tunnel) servePAC() {
	if t.pac != nil || len(t.is.Domains) == 0 {
		return
	}
	kept := t.h.memory.proxy(t.is.Name)
	if kept.PACPath == "" {
		b := make([]byte, 16)
		rand.Read(b)
		kept.PACPath = "/" + hex.EncodeToString(b) + "/proxy.pac"
	}
	l, err := net.Listener(nil), error(nil)
	if kept.PACPort != 0 {
		l, err = webproxy.Try(kept.PACPort)
	}
	if l == nil || err != nil {
		l, err = t.free(firstPACPort, lastPACPort, kept)
	}
	if err != nil {
		t.h.log.Printf("serve the PAC script: %v", err)
		return
	}
	kept.PACPort = portOf(l)
	if t.is.Moved == 0 {
		t.h.memory.setProxy(t.is.Name, kept)
	}
	port := itoa(kept.PACPort)
	t.is.PAC = "http://127.0.0.1:" + port + kept.PACPath
	t.pac = &http.Server{
		Handler:           socks.ServePAC(port, kept.PACPath, t.script),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	go t.pac.Serve(l)
}

func (t *tunnel) script() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return socks.PAC(t.is.Domains, t.is.Local())
}

// forwardPort is the port that was asked for; 0 asks for a free one.
func (t *tunnel) forwardPort() (net.Listener, error) {
	l, err := webproxy.Listen(t.is.Port)
	if err != nil {
		other := t.is.Port%1000 + 8000
		if other == t.is.Port {
			other++
		}
		return nil, notListening(err, t.is.Port, fmt.Sprintf("nbremote forward %s %d:%s", t.h.spec.Target.Name, other, t.is.Addr))
	}
	t.is.Port = portOf(l)
	return l, nil
}

// followedPort is the same number as there, else one near it, else any: never
// one on which somebody listens here, nor that of a session or a proxy. A
// program there could else be taken for a Jupyter of another host.
func (t *tunnel) followedPort() (net.Listener, error) {
	own, taken := t.is.Port, t.h.memory.others("")
	for port := own; port < min(own+followSpan, 65536); port++ {
		if taken[port] || isOnSix(port) {
			continue
		}
		if l, err := webproxy.Try(port); err == nil {
			return t.moved(l, own), nil
		}
	}
	l, err := webproxy.Listen(0)
	if err != nil {
		return nil, err
	}
	return t.moved(l, own), nil
}

func (t *tunnel) moved(l net.Listener, own int) net.Listener {
	if t.is.Port = portOf(l); t.is.Port != own {
		t.is.Moved = own
	}
	return l
}

// isOnSix: somebody listens on ::1, which localhost may be. Nobody is asked: a
// connection would be one more to whatever that leads to.
func isOnSix(port int) bool {
	l, err := net.Listen("tcp6", net.JoinHostPort("::1", itoa(port)))
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.Errno(10048)) // WSAEADDRINUSE
}

// listenSock makes a socket that only its owner can connect to. One that nobody
// listens on any more is replaced.
func listenSock(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil && staleSock(path) {
		os.Remove(path)
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, &Error{Text: "listen on " + path + ": " + short(err), ClassName: "other"}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

func staleSock(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// short is the system's own word.
func short(err error) string {
	if e := new(os.SyscallError); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
