package cli

import (
	"reflect"
	"strings"
	"testing"
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
