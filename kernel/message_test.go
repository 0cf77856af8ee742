package kernel

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func message(key, kind string) [][]byte {
	said := [][]byte{[]byte(`{"msg_type":"` + kind + `","session":"s","version":"5.3"}`), []byte("{}"), []byte("{}"), []byte(`{"a":1}`)}
	return append([][]byte{[]byte("who"), delimiter, signature(key, said)}, append(said, []byte("raw"))...)
}

// Only what is signed rightly is signed anew, and nothing else of it changes.
func TestMessages_SignedAnew(t *testing.T) {
	m := message("here", "x")
	before := message("there", "x")
	if !signAnew("here", "there", m) {
		t.Fatal("a right one was refused")
	}
	for i, f := range m {
		if !bytes.Equal(f, before[i]) {
			t.Errorf("frame %d is %q, want %q", i, f, before[i])
		}
	}
	for name, wrong := range map[string][][]byte{
		"another key": message("there", "x"), "no key": message("", "x"), "cut": message("here", "x")[:5], "bare": {delimiter}, "empty": {delimiter, nil, nil, nil, nil, nil},
	} {
		if signAnew("here", "there", wrong) {
			t.Errorf("%s: it was signed", name)
		}
		if got := kindOf("here", wrong); got != "" {
			t.Errorf("%s: it counts as %q", name, got)
		}
	}
	if !signAnew("here", "there", [][]byte{{1}}) {
		t.Error("a subscription was refused")
	}
}

func TestMessages_Answer(t *testing.T) {
	asked := message("k", "interrupt_request")
	out, err := answerTo("k", "interrupt_reply", asked, map[string]string{"status": "ok"})
	if err != nil || kindOf("k", out) != "interrupt_reply" || string(out[0]) != "who" || !bytes.Equal(out[4], asked[3]) {
		t.Errorf("%v %q", err, out)
	}
}

func TestConnection_Odd(t *testing.T) {
	good := `{"ip":"127.0.0.1","shell_port":1,"iopub_port":2,"stdin_port":3,"control_port":4,"hb_port":5,"key":"k"}`
	c, err := ParseConnection([]byte(good))
	if err != nil || c.Scheme != hmacSHA256 || c.Transport != "tcp" {
		t.Errorf("%+v %v", c, err)
	}
	for _, text := range []string{
		"", "[]", "{}", `{"shell_port":"x"}`, good[:len(good)-1] + `,"ip":"0.0.0.0"}`, good[:len(good)-1] + `,"ip":"10.0.0.1"}`,
		good[:len(good)-1] + `,"hb_port":65536}`, good[:len(good)-1] + `,"hb_port":-1}`, good[:len(good)-1] + `,"transport":"udp"}`,
	} {
		if c, err := ParseConnection([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

// Twice is once; another's kernelspec is shown and stays, unless it is forced.
func TestHere_AddedTwice(t *testing.T) {
	folder := t.TempDir()
	k := Here{Name: "ds-gpu1", DisplayName: "ds @ gpu1", Language: "python", Argv: []string{"nbremote", "kernel", "proxy", "gpu1", "/k/ds", "{connection_file}"}, Host: "gpu1", Kernel: "ds", Spec: "/k/ds", Debugger: true}
	for i := range 2 {
		added, err := AddHere(folder, k, false)
		if err != nil || added.Unchanged != (i == 1) {
			t.Fatalf("%+v %v", added, err)
		}
	}
	if all := ListHere(folder, "gpu1"); len(all) != 1 || all[0].Spec != "/k/ds" || len(ListHere(folder, "gpu2")) != 0 {
		t.Errorf("%+v", all)
	}
	other := filepath.Join(folder, "theirs", "kernel.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(other), 0o755), os.WriteFile(other, []byte(`{"argv":["python"],"display_name":"Theirs"}`), 0o644)); err != nil {
		t.Fatal(err)
	}
	k.Name = "theirs"
	var taken *TakenError
	if _, err := AddHere(folder, k, false); !errors.As(err, &taken) || taken.Old.DisplayName != "Theirs" {
		t.Errorf("%v", err)
	}
	if err := RemoveHere(Here{Name: "theirs", Dir: filepath.Dir(other)}); err == nil {
		t.Error("somebody else's was removed")
	}
	if _, err := AddHere(folder, k, true); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(other)
	if err != nil || !json.Valid(raw) {
		t.Errorf("%v %s", err, raw)
	}
	for _, k := range ListHere(folder, "") {
		if err := RemoveHere(k); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
