package cli

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"nbremote/internal/config"
	"nbremote/internal/holder"
)

func TestParse_TakesWhatStandsAfterDashes(t *testing.T) {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(parser, &cmds, []string{"open", "gpu1", "--json", "--", "--ServerApp.x=1", "-y"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"--ServerApp.x=1", "-y"}; !reflect.DeepEqual(cmds.Open.args, want) || !cmds.JSON || cmds.Yes {
		t.Fatalf("args %q, json %v, yes %v", cmds.Open.args, cmds.JSON, cmds.Yes)
	}
}

func TestParse_RefusesDashesElsewhere(t *testing.T) {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(parser, &cmds, []string{"ls", "--", "x"}); classOf(err) != "usage" {
		t.Fatalf("got %v", err)
	}
}

// An empty argument is a script's variable that is not set: it must not mean the
// host that was used last, which stop would end.
func TestParse_RefusesWhatIsEmpty(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"stop", "-y", ""}, "<host>"}, {[]string{"close", ""}, "<host>"}, {[]string{"open", "gpu1", "--name", ""}, "--name"},
		{[]string{"open", "gpu1", "--env="}, "--env"}, {[]string{"open", "--via", "gw", "--via", "", "gpu1"}, "--via"},
		{[]string{"forward", "gpu1", "80", ""}, "<port>"}, {[]string{"kernel", "add", ""}, "<env>"}, {[]string{"run", "", "--", "true"}, "<host>"},
		{[]string{"stop"}, ""}, {[]string{"open"}, ""}, {[]string{"run", "gpu1", "--", ""}, ""},
	} {
		var cmds commands
		parser, err := newParser(&cmds)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parse(parser, &cmds, c.args)
		if c.says == "" && err != nil || c.says != "" && (classOf(err) != "usage" || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
}

// stop of everything and of one thing at once is a mistake that must end
// nothing; no time at all is no condition.
func TestStop_RefusesWhatContradicts(t *testing.T) {
	for _, args := range [][]string{
		{"stop", "gpu1/b", "--all"}, {"stop", "gpu1:~/proj", "--all"}, {"stop", "gpu1", "--idle", "0"}, {"stop", "gpu1", "--idle", "10ms"},
	} {
		var cmds commands
		parser, err := newParser(&cmds)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(parser, &cmds, args); err != nil {
			t.Fatal(err)
		}
		if err := cmds.Stop.check(&app{place: holder.Place{Run: t.TempDir()}, config: &config.Config{}}); classOf(err) != "usage" {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// B6: no flag of any command takes a token.
func TestB6_NoFlagTakesAToken(t *testing.T) {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		for _, flag := range node.Flags {
			if flag.IsBool() {
				continue // it takes nothing
			}
			if strings.Contains(strings.ToLower(flag.Name+flag.Help), "token ") || flag.Name == "token" {
				t.Errorf("%s --%s: %s", node.Name, flag.Name, flag.Help)
			}
		}
	}
}

// Every command that exists stands in the overview, and the other way round.
func TestOverview_IsWhatExists(t *testing.T) {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if there := strings.Contains(overview, node.Name); there == node.Hidden {
			t.Errorf("%s: in the overview %v, hidden %v", node.Name, there, node.Hidden)
		}
	}
}

func TestParse_KernelProxyByItself(t *testing.T) {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(parser, &cmds, []string{"kernel", "proxy", "gpu1", "/spec", "/file", "script.py", "--its=own"}); err != nil {
		t.Fatal(err)
	}
	if c := cmds.Kernel.Proxy; c.Keep != 10*time.Minute || c.Patience != 15*time.Second {
		t.Errorf("kept for %v, waits for %v", c.Keep, c.Patience)
	}
}

// Each command says what --json is of it.
func TestParse_JSON(t *testing.T) {
	prints := map[string]bool{}
	for _, name := range strings.Fields("open url close stop restart ls status doctor clean run wait cp proxy forward ide kernel config version") {
		prints[name] = true
	}
	parser, err := newParser(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parser.Model.Children {
		if refused := refuseJSON(c.Name+" <host>") != nil; !c.Hidden && refused == prints[c.Name] {
			t.Errorf("%s: refused %v, printed %v", c.Name, refused, prints[c.Name])
		}
	}
}
