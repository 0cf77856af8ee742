package kernel

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed connect.sh
var connectText string

// FindConnection tells where the channels of a kernel that runs are, on the host: one of
// a session there, or one of a Jupyter, by its ID or the beginning of it.
func FindConnection(ctx context.Context, r remote.Runner, name string) (c Connection, err error) {
	id := name
	if strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) && (r < 'A' || r > 'Z') }) || len(name) < 4 {
		id = ""
	}
	body := fmt.Sprintf("L_ENC=%s L_ID=%s\n", session.Encode(name), quote(id))
	out, err := r.Run(ctx, remote.Prelude+remote.Places+session.Lib+body+remote.Compact(connectText))
	if err != nil {
		return c, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return c, fmt.Errorf("read what the host answers: %w", err)
	}
	file, text := "", []byte(nil)
	for _, f := range fields {
		switch f.Name {
		case "file":
			file = string(f.Value)
		case "text":
			text = f.Value
		}
	}
	if c, err = ParseConnection(text); err != nil {
		return c, fmt.Errorf("read %s: %v", path.Base(file), err)
	}
	return c, nil
}

// Through is the connection file, for this computer, of a kernel whose channels
// are at these ports here.
func (c Connection) Through(ports map[string]int) ([]byte, error) {
	c.Transport, c.IP = "tcp", "127.0.0.1"
	c.Shell, c.IOPub, c.Stdin, c.Control, c.HB = ports["shell"], ports["iopub"], ports["stdin"], ports["control"], ports["hb"]
	return json.MarshalIndent(c, "", "  ")
}
