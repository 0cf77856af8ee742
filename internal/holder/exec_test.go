package holder

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// frames are what a holder sends: kinds and payloads.
func frames(t *testing.T, all ...any) string {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(all); i += 2 {
		if err := writeFrame(&b, byte(all[i].(int)), []byte(all[i+1].(string))); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestProcess_Ends(t *testing.T) {
	for name, c := range map[string]struct{ sent, out, end string }{
		"0":             {frames(t, execData, "a", execData, "bc", execExit, `{"code":0}`), "abc", ""},
		"3":             {frames(t, execData, "a", execExit, `{"code":3}`), "a", "it ended with status 3"},
		"signal":        {frames(t, execExit, `{"code":255,"signal":"KILL"}`), "", "it was ended by signal KILL"},
		"not known":     {frames(t, execExit, `{"error":{"text":"the link has ended","class":"line"}}`), "", "the link has ended"},
		"new frames":    {frames(t, 77, "what is this", execData, "", execData, "a", execExit, `{"code":0,"new":1}`), "a", ""},
		"no end":        {frames(t, execData, "a"), "a", "the line was closed on this computer"},
		"cut short":     {frames(t, execData, "abc")[:6], "a", "the line was closed on this computer"},
		"no JSON":       {frames(t, execExit, "?"), "", "the line was closed on this computer"},
		"much too long": {"\x00\xff\xff\xff\xff", "", "the line was closed on this computer"},
	} {
		near, far := net.Pipe()
		go func() { io.WriteString(far, c.sent); far.Close() }()
		p := &Process{conn: near, r: bufio.NewReader(near)}
		out, _ := io.ReadAll(p)
		end := p.Wait()
		near.Close()
		var said *Error
		if errors.As(end, &said) && strings.Contains(said.CauseText, "EOF") {
			t.Errorf("%s: it says %q", name, said.CauseText)
		}
		if string(out) != c.out || errText(end) != c.end {
			t.Errorf("%s: %q, %v", name, out, end)
		}
	}
}

// A holder from before there were commands says so, and what to do.
func TestExec_OlderHolder(t *testing.T) {
	sock := filepath.Join(newPlace(t).Run, "old.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NewServeMux()}
	defer server.Close()
	go server.Serve(l)
	var said *Error
	_, err = (&Client{Sock: sock}).Exec(t.Context(), ExecSpec{Script: "true", Pty: true})
	if !errors.As(err, &said) || !strings.Contains(said.Text, "older") || !strings.Contains(said.HintText, "nbremote close") {
		t.Errorf("%v", err)
	}
}
