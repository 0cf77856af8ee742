package holder

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// addressHints says when addresses may have changed: the kernel tells
// (rtnetlink(7)), so nothing is done meanwhile.
func addressHints(ctx context.Context) <-chan struct{} {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return eachSoOften(ctx, lookAgain)
	}
	groups := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}
	if err := unix.Bind(fd, groups); err != nil {
		unix.Close(fd)
		return eachSoOften(ctx, lookAgain)
	}
	told := os.NewFile(uintptr(fd), "netlink")
	stop := context.AfterFunc(ctx, func() { told.Close() })
	hints := make(chan struct{}, 1)
	go func() {
		defer stop()
		defer close(hints)
		buf := make([]byte, 4096) // what it says is not looked at
		for {
			// ENOBUFS: there was more than the kernel keeps.
			if _, err := told.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case hints <- struct{}{}:
			default:
			}
		}
	}()
	return hints
}

// lookAgain is for a kernel that does not tell.
const lookAgain = 5 * time.Second
