package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// usedBefore has the laptop remember that hosts were opened before.
func usedBefore(l *lab.Lab, hosts ...string) {
	const file = "/home/me/.local/state/nbremote/last-used.json"
	uses := map[string]any{}
	_ = json.Unmarshal([]byte(l.Laptop.ReadFile(file)), &uses)
	hinted, _ := uses["hinted"].(map[string]any)
	if hinted == nil {
		hinted = map[string]any{}
	}
	for _, h := range hosts {
		hinted[h] = true
	}
	uses["version"], uses["hinted"] = 1, hinted
	raw, _ := json.Marshal(uses)
	l.Laptop.WriteFile(lab.Me, file, string(raw))
}

// ls --all asks the hosts used before, those behind one gateway by one sign-in
// there, the living ones not after the dead, and none that would need a person.
func TestLs_All(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Hosts: 5, Sshd: ann})
	asks := byPassword(l, "gpu4")
	open(t, l, "gpu1")
	open(t, l, "gpu2")
	open(t, l, "gpu3")
	l.Must("stop", "gpu3", "-y")
	x := l.Pty("open", "--no-browser", "gpu4")
	x.Expect("password", 30*time.Second)
	x.Type("deep water\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	l.Must("close", "--all")
	var dead strings.Builder // twenty names of a machine that is silent
	names := []string{"gpu2", "gpu3", "gpu4"}
	for i := range 20 {
		names = append(names, fmt.Sprintf("dead%d", i))
		fmt.Fprintf(&dead, "Host dead%d\n  HostName %s\n  Port %d\n  User me\n  ProxyJump gw1\n", i, l.Host("gpu5").Addr, 3000+i)
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", dead.String()+l.Laptop.ReadFile("/home/me/.ssh/config"))
	l.Host("gpu5").Cut()
	open(t, l, "gpu1")
	usedBefore(l, append(names, "gpu1")...)

	gateway, person, holders := signIns(l.Host("gw1")), connections(asks), len(l.Laptop.Running("nbremote holder"))
	j := l.Start("ls", "--all")
	j.Expect("gpu2/main", 20*time.Second)
	j.Expect("gpu3", 20*time.Second)
	if strings.Contains(j.Stdout(), "dead") {
		t.Errorf("the dead come before the living:\n%s", j.Stdout())
	}
	r := j.Wait()
	t.Logf("%v\n%s%s", r.Took, r.Stdout, r.Stderr)
	if r.Exit != 0 || r.Took > 10*time.Second || strings.Count(r.Stdout, "not reached") != 20 || !strings.Contains(r.Stderr, "24 hosts asked in ") {
		t.Errorf("exit %d after %v\n%s%s", r.Exit, r.Took, r.Stdout, r.Stderr)
	}
	var rows []struct{ Host, Session, State, Try string }
	if err := json.Unmarshal([]byte(l.Must("ls", "--all", "--json").Stdout), &rows); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range rows {
		if !strings.HasPrefix(row.Host, "dead") {
			got[row.Host+"/"+row.Session] = row.State + ": " + row.Try
		}
	}
	want := map[string]string{
		"gpu1/main": "idle: ", "gpu2/main": "running: nbremote open gpu2/main", "gpu3/": "nothing runs: ", "gpu4/": "needs sign-in: nbremote open gpu4",
	}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s: %q, want %q", name, got[name], state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	if n := signIns(l.Host("gw1")) - gateway; n != 0 {
		t.Errorf("gw1, which is signed in to, was signed in to %d times more", n)
	}
	if connections(asks) != person {
		t.Error("the host that needs a person was dialled")
	}
	if n := len(l.Laptop.Running("nbremote holder")); n != holders {
		t.Errorf("%d background processes, there were %d", n, holders)
	}
	l.Must("close", "--all")
	l.Must("ls", "--all")
	if n := signIns(l.Host("gw1")) - gateway; n != 1 {
		t.Errorf("gw1 was signed in to %d times for all behind it", n)
	}
	if n := len(l.Laptop.Running("nbremote holder")); n != 0 {
		t.Errorf("%d background processes are left", n)
	}
}
