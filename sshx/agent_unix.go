//go:build !windows

package sshx

import (
	"context"
	"net"
	"os"
)

func dialAgent(ctx context.Context, sock string) (net.Conn, error) {
	if sock == "" {
		if sock = os.Getenv("SSH_AUTH_SOCK"); sock == "" {
			return nil, nil
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", sock)
}
