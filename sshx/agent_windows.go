package sshx

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/Microsoft/go-winio"
)

const windowsAgent = `\\.\pipe\openssh-ssh-agent`

func dialAgent(ctx context.Context, sock string) (net.Conn, error) {
	given := sock
	if sock == "" {
		sock = os.Getenv("SSH_AUTH_SOCK")
	}
	if sock == "" {
		sock = windowsAgent
	}
	if !strings.HasPrefix(sock, `\\`) && !strings.HasPrefix(sock, `//`) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", sock)
	}
	conn, err := winio.DialPipeContext(ctx, strings.ReplaceAll(sock, "/", `\`))
	if given == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return conn, err
}
