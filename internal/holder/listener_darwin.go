package holder

import (
	"net"
	"syscall"
)

// Of unix(4), which package syscall lacks.
const (
	solLocal     = 0
	localPeerPID = 2
)

// listenerPID is the process that listens at the other end; 0: not known.
func listenerPID(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if peer, err := syscall.GetsockoptInt(int(fd), solLocal, localPeerPID); err == nil {
			pid = peer
		}
	})
	return pid
}
