package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// The kinds of DNS records that the lab knows, and answers other than these.
const (
	KindA     = 1
	KindAAAA  = 28
	KindSSHFP = 44

	ServFail = 2
	NXDomain = 3
)

// Answer is what is said to one question.
type Answer struct {
	Records [][]byte // of the kind that was asked for, without name and lifetime
	Code    int      // 0, ServFail or NXDomain
	Secure  bool     // as if it had been checked by DNSSEC
	After   time.Duration
	Silent  bool
}

// Addresses is an answer with those of a list that are of the kind.
func Addresses(kind uint16, all ...string) Answer {
	var a Answer
	for _, text := range all {
		if ip := netip.MustParseAddr(text); ip.Is4() == (kind == KindA) && (kind == KindA || kind == KindAAAA) {
			a.Records = append(a.Records, ip.AsSlice())
		}
	}
	return a
}

// DNS is the name server of a machine.
type DNS struct {
	mu     sync.Mutex
	answer func(name string, kind uint16) Answer
	asked  []uint16
}

// DNS answers what the machine's resolver asks, from now on.
func (m *Machine) DNS(answer func(name string, kind uint16) Answer) *DNS {
	m.t.Helper()
	d := &DNS{answer: answer}
	var conn net.PacketConn
	err := m.within(func() (err error) {
		conn, err = net.ListenPacket("udp", "127.0.0.1:53")
		return err
	}, "net")
	must(m.t, err, "start a name server on %s", m.Name)
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			question := slices.Clone(b[:n])
			wg.Go(func() { d.reply(conn, from, question) })
		}
	})
	m.t.Cleanup(func() { conn.Close(); wg.Wait() })
	return d
}

// Set has it answer otherwise.
func (d *DNS) Set(answer func(name string, kind uint16) Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// Asked is how often it was asked for a kind of record.
func (d *DNS) Asked(kind uint16) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, k := range d.asked {
		if k == kind {
			n++
		}
	}
	return n
}

// reply answers one question (RFC 1035, section 4).
func (d *DNS) reply(conn net.PacketConn, to net.Addr, b []byte) {
	name, end := questionName(b)
	if end == 0 {
		return
	}
	kind := binary.BigEndian.Uint16(b[end:])
	d.mu.Lock()
	d.asked = append(d.asked, kind)
	answer := d.answer
	d.mu.Unlock()
	a := answer(name, kind)
	if a.Silent {
		return
	}
	time.Sleep(a.After)
	flags := uint16(0x8180 | a.Code)
	if a.Secure {
		flags |= 0x20
	}
	out := append([]byte{}, b[:2]...)
	for _, field := range []uint16{flags, 1, uint16(len(a.Records)), 0, 0} {
		out = binary.BigEndian.AppendUint16(out, field)
	}
	out = append(out, b[12:end+4]...)
	for _, record := range a.Records {
		out = append(out, 0xc0, 12) // the name of the question
		for _, field := range []uint16{kind, 1, 0, 1, uint16(len(record))} {
			out = binary.BigEndian.AppendUint16(out, field)
		}
		out = append(out, record...)
	}
	_, _ = conn.WriteTo(out, to)
}

// questionName is the name that is asked for, and where it ends; 0: it is none.
func questionName(b []byte) (string, int) {
	var labels []string
	for at := 12; at < len(b); {
		n := int(b[at])
		if n == 0 && at+5 <= len(b) {
			return strings.ToLower(strings.Join(labels, ".")), at + 1
		}
		if n == 0 || n > 63 || at+1+n > len(b) {
			break
		}
		labels = append(labels, string(b[at+1:at+1+n]))
		at += 1 + n
	}
	return "", 0
}
