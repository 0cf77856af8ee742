package socks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
)

// Code is what a client is told, in the numbers of RFC 1928, 6.
type Code byte

// The codes that are used.
const (
	Granted       Code = 0
	Failed        Code = 1
	NotAllowed    Code = 2
	Unreachable   Code = 4
	Refused       Code = 5
	NoSuchCommand Code = 7
	NoSuchAddress Code = 8
	noMethod      Code = 0xff // not in a reply: none of the ways to sign in is known
	granted4           = 90   // SOCKS4's own
	refused4           = 91
	connect            = 1
	maxUserID          = 255
	version4           = 4
	version5           = 5
	typeIPv4           = 1
	typeName           = 3
	typeIPv6           = 4
	noPassword         = 0
)

// Error is a request that is not granted.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return e.Text }

// SOCKS is what the client is told.
func (e *Error) SOCKS() Code { return e.Code }

// errNoSOCKS: what came is another protocol, which gets no answer.
var errNoSOCKS = errors.New("that is no SOCKS")

// Request is what a client wants: a connection to a name or an address.
type Request struct {
	Host    string
	Port    int
	version byte // 0: not known
}

// readRequest reads what a client says up to what it wants. In between it is
// told on w that no password is needed.
func readRequest(r *bufio.Reader, w io.Writer) (Request, error) {
	version, err := r.ReadByte()
	switch {
	case err != nil:
		return Request{}, err
	case version == version4:
		return read4(r)
	case version == version5:
		return read5(r, w)
	}
	return Request{}, errNoSOCKS
}

func read5(r *bufio.Reader, w io.Writer) (Request, error) {
	var q Request
	methods, err := readCounted(r)
	if err != nil {
		return q, err
	}
	if !slices.Contains(methods, noPassword) {
		w.Write([]byte{version5, byte(noMethod)})
		return q, &Error{noMethod, "it insists on a password"}
	}
	if _, err := w.Write([]byte{version5, noPassword}); err != nil {
		return q, err
	}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return q, err
	}
	if head[0] != version5 {
		return q, errNoSOCKS
	}
	q.version = version5
	if q.Host, err = readAddress(r, head[3]); err != nil {
		return q, err
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return q, err
	}
	q.Port = int(binary.BigEndian.Uint16(port[:]))
	return q, q.check(head[1])
}

func readAddress(r *bufio.Reader, kind byte) (string, error) {
	switch kind {
	case typeIPv4:
		var b [4]byte
		_, err := io.ReadFull(r, b[:])
		return netip.AddrFrom4(b).String(), err
	case typeIPv6:
		var b [16]byte
		_, err := io.ReadFull(r, b[:])
		return netip.AddrFrom16(b).String(), err
	case typeName:
		name, err := readCounted(r)
		return string(name), err
	}
	return "", &Error{NoSuchAddress, "an address of a kind that is not known"}
}

// readCounted reads a byte, and so many bytes.
func readCounted(r *bufio.Reader) ([]byte, error) {
	n, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return b, err
}

// read4 reads SOCKS4, where an address 0.0.0.x means that a name follows (4a).
func read4(r *bufio.Reader) (Request, error) {
	q := Request{version: version4}
	var head [7]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Request{}, err
	}
	q.Port = int(binary.BigEndian.Uint16(head[1:]))
	ip := [4]byte(head[3:])
	q.Host = netip.AddrFrom4(ip).String()
	if _, err := readToNUL(r, maxUserID); err != nil {
		return q, err
	}
	if ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0 {
		name, err := readToNUL(r, 255)
		if err != nil {
			return q, err
		}
		q.Host = name
	}
	return q, q.check(head[0])
}

func readToNUL(r *bufio.Reader, most int) (string, error) {
	var b []byte
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case c == 0:
			return string(b), nil
		case len(b) == most:
			return "", &Error{Failed, "a name that is too long"}
		}
		b = append(b, c)
	}
}

func (q Request) check(command byte) error {
	switch {
	case command != connect:
		return &Error{NoSuchCommand, "only connections outwards are made"}
	case q.Port == 0:
		return &Error{Failed, "there is no port 0"}
	case !IsHost(q.Host):
		return &Error{Failed, "that is neither a name nor an address"}
	}
	return nil
}

// IsHost says whether a text is an address, or can be the name of a machine: of
// letters, digits, and "-_." in between.
func IsHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	if s == "" || len(s) > 253 || s[0] == '-' || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// refuse tells the client why not, as far as it speaks SOCKS.
func (q Request) refuse(w io.Writer, err error) {
	var coded interface{ SOCKS() Code }
	code := Unreachable
	if errors.As(err, &coded) {
		code = coded.SOCKS()
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNoSOCKS) {
		return
	}
	if q.version != 0 {
		w.Write(q.reply(code))
	}
}

// reply is an answer; the address where the connection begins on the far side
// is nobody's business.
func (q Request) reply(code Code) []byte {
	if q.version == version5 {
		return []byte{version5, byte(code), 0, typeIPv4, 0, 0, 0, 0, 0, 0}
	}
	if code == Granted {
		return []byte{0, granted4, 0, 0, 0, 0, 0, 0}
	}
	return []byte{0, refused4, 0, 0, 0, 0, 0, 0}
}
