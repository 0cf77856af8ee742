package kernel

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// channels of a kernel, in the order of their ports.
var channels = []string{"shell", "iopub", "stdin", "control", "hb"}

// Connection is a connection file: where a kernel's channels are, and the key
// of their messages.
type Connection struct {
	Transport string `json:"transport"` // tcp, or ipc: then IP is the beginning of a path
	IP        string `json:"ip"`
	Shell     int    `json:"shell_port"`
	IOPub     int    `json:"iopub_port"`
	Stdin     int    `json:"stdin_port"`
	Control   int    `json:"control_port"`
	HB        int    `json:"hb_port"`
	Key       string `json:"key"`
	Scheme    string `json:"signature_scheme"`
	Name      string `json:"kernel_name,omitempty"`
}

const connectionMost = 64 << 10 // bytes of a connection file

// ReadConnection reads a connection file of this computer.
func ReadConnection(name string) (c Connection, err error) {
	f, err := os.Open(name)
	if err != nil {
		return c, &UsageError{What: fmt.Sprintf("read the connection file: %v", err), Try: "the kernel is started by an editor, by its name"}
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, connectionMost))
	if err == nil {
		c, err = ParseConnection(raw)
	}
	if err != nil {
		return c, &UsageError{What: fmt.Sprintf("read the connection file %s: %v", name, err), Try: "the kernel is started by an editor, by its name"}
	}
	return c, nil
}

// ParseConnection reads what a connection file holds, whoever wrote it.
func ParseConnection(raw []byte) (c Connection, err error) {
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("it is no JSON object of a kernel: %v", err)
	}
	if c.Scheme == "" {
		c.Scheme = hmacSHA256
	}
	if c.Transport == "" {
		c.Transport = "tcp"
	}
	for _, name := range channels {
		if port := c.port(name); port <= 0 || port > 65535 {
			return c, fmt.Errorf("%s_port is %d", name, port)
		}
	}
	switch ip := net.ParseIP(c.IP); {
	case c.Transport == "ipc" && c.IP != "":
	case c.Transport != "tcp":
		return c, fmt.Errorf("its transport is %.20q", c.Transport)
	case c.IP != "localhost" && (ip == nil || !ip.IsLoopback()):
		return c, fmt.Errorf("its address is %.40q, which is not this computer's own", c.IP)
	}
	return c, nil
}

func (c *Connection) port(channel string) int {
	return map[string]int{"shell": c.Shell, "iopub": c.IOPub, "stdin": c.Stdin, "control": c.Control, "hb": c.HB}[channel]
}

// Addr is where a channel is.
func (c *Connection) Addr(channel string) (network, addr string) {
	port := strconv.Itoa(c.port(channel))
	if c.Transport == "ipc" {
		return "unix", c.IP + "-" + port
	}
	return "tcp", net.JoinHostPort(c.IP, port)
}

// Channels are the names of a kernel's channels.
func Channels() []string { return channels }
