package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/internal/sshd"
	"nbremote/test/lab"
)

// TestBench_ThirdHost: what the third host behind a bastion costs less than the
// first, with Jupyter running on all.
func TestBench_ThirdHost(t *testing.T) {
	const rtt = 100 * time.Millisecond
	l := benchLab(t, lab.Chain{Gateways: 1, Hosts: 3, Delay: rtt / 2})
	hosts := []string{"gpu1", "gpu2", "gpu3"}
	for _, h := range hosts {
		l.Must("open", "--no-browser", h)
	}
	times := map[string][]float64{}
	var less []float64
	for range turns {
		for _, h := range append(hosts, "gw1") {
			l.Must("close", h)
		}
		took := map[string]float64{}
		for _, h := range hosts {
			took[h] = l.Must("open", "--no-browser", h).Took.Seconds() / rtt.Seconds()
			times[h] = append(times[h], took[h])
		}
		less = append(less, took["gpu1"]-took["gpu3"])
	}
	rowHeader(fmt.Sprintf("open behind one bastion, server up, %v round trip, %d turns, round trips", rtt, turns))
	row("the first host, with the sign-in to the bastion", times["gpu1"], 1, "")
	row("the second", times["gpu2"], 1, "")
	row("the third", times["gpu3"], 1, "")
	row("the third less than the first", less, 1, "9 at least")
}

// TestBench_Doctor: all checks of a healthy host behind a gateway.
func TestBench_Doctor(t *testing.T) {
	l := benchLab(t, lab.Chain{Gateways: 1})
	var alone, open []time.Duration
	for range turns {
		alone = append(alone, l.Must("doctor", "gpu1").Took)
	}
	l.Must("open", "--no-browser", "gpu1")
	for range turns {
		open = append(open, l.Must("doctor", "gpu1").Took)
	}
	header("doctor of a healthy host")
	spread("with two sign-ins of its own", alone, "3000")
	spread("by the line that is open", open, "3000")
}

// TestBench_LsAll: ls --all over 100 hosts, 20 of them dead. The 80 living ones
// are addresses of one machine, which shares this computer with the laptop: ssh
// to all of them at once says what that alone costs, and a small SSH server in
// place of 80 sshds what our side does.
func TestBench_LsAll(t *testing.T) {
	l := benchLab(t, lab.Chain{Sshd: "MaxStartups 500\n"})
	const living, dead = 80, 20
	var whole, last, plain, ourWhole, ourLast []time.Duration
	hundred := func(port int, known func(addr string) string) {
		var config, keys strings.Builder
		names := []string{}
		for i := range living + dead {
			name, addr := fmt.Sprintf("host%d", i), fmt.Sprintf("10.77.0.%d", 110+i)
			names = append(names, name)
			fmt.Fprintf(&config, "Host %s\n  HostName %s\n  Port %d\n  User me\n", name, addr, port)
			keys.WriteString(known(addr))
		}
		l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", config.String())
		l.Laptop.WriteFile(lab.Me, knownHosts, keys.String())
		usedBefore(l, names...)
	}
	ask := func() (whole, last time.Duration) {
		began := time.Now()
		j := l.Start("ls", "--all")
		lab.Wait(t, time.Minute, "the living", func() bool { return strings.Count(j.Stdout(), "nothing runs") == living || j.Ended() })
		last = time.Since(began)
		r := j.Wait()
		if r.Exit != 0 || strings.Count(r.Stdout, "nothing runs") != living || strings.Count(r.Stdout, "not reached") != dead {
			t.Fatalf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		return r.Took, last
	}
	for i := range living + dead {
		addr := fmt.Sprintf("10.77.0.%d", 110+i)
		if i < living {
			l.Host("gpu1").Sh("ip address add " + addr + "/24 dev eth0")
		} else { // nobody has this card, and nobody says so
			l.Laptop.Sh("ip neighbour replace " + addr + " lladdr 02:00:00:00:ff:ff dev eth0 nud permanent")
		}
	}
	smallKey := smallServer(t, l, 2222)
	for range turns {
		hundred(22, l.Host("gpu1").KnownHosts)
		w, at := ask()
		whole, last = append(whole, w), append(last, at)
		began := time.Now()
		l.Laptop.ShAs(lab.Me, fmt.Sprintf("seq 0 %d | xargs -P 80 -I{} ssh -T -o BatchMode=yes host{} true", living-1))
		plain = append(plain, time.Since(began))
		hundred(2222, func(addr string) string { return "[" + addr + "]:2222 " + smallKey })
		w, at = ask()
		ourWhole, ourLast = append(ourWhole, w), append(ourLast, at)
	}
	header("ls --all over 100 hosts, 20 of them dead")
	spread("the whole", whole, "5000")
	spread("until the last living one is told", last, "1000")
	spread("80 x ssh HOST true at once, for comparison", plain, "")
	spread("the whole, a small server in place of 80 sshds", ourWhole, "5000")
	spread("the last living one of those", ourLast, "1000")
}

// smallServer is our own SSH server at a port of each address of gpu1, and its
// host key. Its commands run beside the test, with a home of their own.
func smallServer(t *testing.T, l *lab.Lab, port int) (hostKey string) {
	t.Helper()
	key, _, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	mine, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l.Key().Public))
	if err != nil {
		t.Fatal(err)
	}
	server := &sshd.Server{
		HostKeys: []ssh.Signer{key}, AuthorizedKeys: []ssh.PublicKey{mine},
		Env: []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")},
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	door, err := l.Host("gpu1").Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	lab.Accept(door, func(near net.Conn) {
		far, err := net.Dial("tcp", server.Address())
		if err != nil {
			return
		}
		defer far.Close()
		go func() { io.Copy(far, near); far.(*net.TCPConn).CloseWrite() }()
		io.Copy(near, far)
	})
	return string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}
