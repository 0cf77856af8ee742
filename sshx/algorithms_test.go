package sshx

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// kexInit is what both sides announce (RFC 4253 section 7.1).
type kexInit struct {
	Type                     byte
	Cookie                   [16]byte
	Kex, HostKeys            []string
	CipherOut, CipherIn      []string
	MACOut, MACIn            []string
	CompressOut, CompressIn  []string
	LanguageOut, LanguagesIn []string
	First                    bool
	Reserved                 uint32
}

// TestE6_NoStrictKex dumps our announcement to a server that has no strict key
// exchange and would rather use ChaCha20 or CBC: what both have and we prefer
// is AES-GCM.
func TestE6_NoStrictKex(t *testing.T) {
	l := silent(t)
	got := make(chan kexInit, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "SSH-2.0-Old\r\n")
		theirs := []string{"chacha20-poly1305@openssh.com", "aes128-cbc", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com"}
		macs := []string{"hmac-sha2-256-etm@openssh.com"}
		writePacket(conn, ssh.Marshal(kexInit{
			Type: 20, Kex: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"}, CipherOut: theirs, CipherIn: theirs,
			MACOut: macs, MACIn: macs, CompressOut: []string{"none"}, CompressIn: []string{"none"},
		}))
		r := bufio.NewReader(conn)
		r.ReadString('\n')
		var ours kexInit
		if ssh.Unmarshal(readPacket(r), &ours) == nil {
			got <- ours
		}
	}()
	Connect(t.Context(), targetAt(t, l.Addr()), Options{})
	ours := within(t, got)
	for _, list := range [][]string{ours.CipherIn, ours.CipherOut} {
		i := slices.IndexFunc(list, func(c string) bool { return c == "chacha20-poly1305@openssh.com" || strings.Contains(c, "cbc") })
		gcm := slices.IndexFunc(list, func(c string) bool { return strings.Contains(c, "-gcm@") })
		if gcm != 0 || i >= 0 && i < gcm {
			t.Errorf("ciphers %v", list)
		}
	}
	if !slices.Contains(ours.Kex, "kex-strict-c-v00@openssh.com") || ours.Kex[0] != "mlkem768x25519-sha256" {
		t.Errorf("key exchanges %v", ours.Kex)
	}
	for _, list := range [][]string{ours.Kex, ours.HostKeys, ours.MACIn, ours.CipherIn} {
		for _, algo := range list {
			if strings.HasSuffix(algo, "-sha1") && algo != "hmac-sha1" || algo == "ssh-rsa" || algo == "ssh-dss" || strings.Contains(algo, "sha1-96") || strings.Contains(algo, "cbc") {
				t.Errorf("weak: %s", algo)
			}
		}
	}
}

func writePacket(w io.Writer, payload []byte) {
	padding := 8 - (len(payload)+5)%8 + 8
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)+padding+1))
	b = append(append(b, byte(padding)), payload...)
	w.Write(append(b, make([]byte, padding)...))
}

func readPacket(r io.Reader) []byte {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil
	}
	body := make([]byte, binary.BigEndian.Uint32(head)-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	return body[:len(body)-int(head[4])]
}

func TestE6_Negotiated(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")}, "LogLevel DEBUG3")
	target := withKey(t, s, s.target(t))
	if _, err := try(t.Context(), target, Options{}); err != nil {
		t.Fatal(err)
	}
	if log := s.said(t); !strings.Contains(log, "cipher: aes128-gcm@openssh.com") {
		t.Errorf("%s", log)
	}
}

func TestE7_WeakAlgorithms(t *testing.T) {
	noLeak(t)
	for line, want := range map[string]string{
		"KexAlgorithms diffie-hellman-group14-sha1": "has no key exchange that we trust, only diffie-hellman-group14-sha1",
		"HostKeyAlgorithms ssh-rsa":                 "has no host key that we trust, only ssh-rsa",
		"Ciphers aes128-cbc":                        "that we trust, only aes128-cbc",
	} {
		s := startSSHD(t, 0, []string{hostKey(t, "rsa")}, line)
		_, err := try(t.Context(), s.target(t), Options{})
		var dial *DialError
		if !errors.As(err, &dial) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

var _ net.Conn = (*channelConn)(nil)
