//go:build linux

package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

func TestRunning_Real(t *testing.T) {
	t.Parallel()
	for name, tcp := range map[string]bool{"socket": false, "port": true} {
		t.Run(name, func(t *testing.T) {
			_, home := newHost(t)
			s := jupyter(t, home, tcp)
			dial := dialer(s)
			post(t, s, "api/sessions", `{"path":"sub/a.ipynb","name":"a.ipynb","type":"notebook","kernel":{"name":"python3"}}`)
			all := ParseRunning(get(t, s, "api/kernels"), get(t, s, "api/sessions"))
			if len(all) != 1 || all[0].Spec != "python3" || all[0].Notebook != "sub/a.ipynb" || time.Since(all[0].Last) > time.Hour {
				t.Fatalf("%+v", all)
			}
			id := all[0].ID
			before := pidOf(t, id)
			if err := Restart(t.Context(), dial, *s, id); err != nil {
				t.Error(err)
			}
			lab.Wait(t, 10*time.Second, "it is another process", func() bool { return pidOf(t, id) != before })
			// Last, since one that is just starting may die of it.
			if err := Interrupt(t.Context(), dial, *s, id); err != nil {
				t.Error(err)
			}
			if err := Shutdown(t.Context(), dial, *s, id); err != nil {
				t.Error(err)
			}
			idle(t, s)
			for verb, act := range map[string]func(context.Context, Dial, Server, string) error{"interrupt": Interrupt, "restart": Restart, "end": Shutdown} {
				var gone *NotFoundError
				if err := act(t.Context(), dial, *s, id); !errors.As(err, &gone) || gone.Class() != "not-found" || !strings.HasPrefix(err.Error(), verb+" kernel ") {
					t.Errorf("%s: %v", verb, err)
				}
			}
			s.Token = "another"
			var refused *ServerError
			if err := Shutdown(t.Context(), dial, *s, id); !errors.As(err, &refused) || refused.Class() != "refused" {
				t.Errorf("%v", err)
			}
		})
	}
}

// pidOf is the one process with the kernel's connection file.
func pidOf(t *testing.T, id string) string {
	t.Helper()
	var found []string
	lab.Wait(t, 10*time.Second, "one process is the kernel's", func() bool { found = withWord("kernel-" + id + ".json"); return len(found) == 1 })
	return found[0]
}

func TestRunning_IDs(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { t.Error("it dials"); return nil, errors.New("no") }
	for _, id := range []string{"", "..", "../../shutdown", "a/b", "12345678?x", "0123456g", "12345678-", "1234567", strings.Repeat("a", 200), "12345678\n"} {
		if _, ok := Shutdown(t.Context(), dial, Server{BaseURL: "/"}, id).(*UsageError); !ok {
			t.Errorf("%q is an id", id)
		}
	}
}

// serverOf answers every request in the same way.
func serverOf(t *testing.T, handler http.HandlerFunc) (Dial, Server) {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	s := Server{Network: "tcp", Addr: web.Listener.Addr().String(), BaseURL: "/x/", Token: testToken}
	return dialer(&s), s
}

func TestRunning_OddAnswers(t *testing.T) {
	const id = "0a1b2c3d-0000-4000-8000-000000000000"
	var asked []string
	dial, s := serverOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		http.Redirect(w, r, "http://example.com/", http.StatusFound)
	})
	var odd *ServerError
	if err := Restart(t.Context(), dial, s, id); !errors.As(err, &odd) || odd.Status != 302 || odd.Class() != "refused" {
		t.Errorf("%v", err)
	}
	if len(asked) != 1 || asked[0] != "POST "+s.Addr+" /x/api/kernels/"+id+"/restart token "+testToken {
		t.Errorf("%v", asked)
	}
	dial, s = serverOf(t, func(w http.ResponseWriter, _ *http.Request) {
		for w.WriteHeader(http.StatusOK); ; {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if err := Interrupt(t.Context(), dial, s, id); err != nil {
		t.Errorf("an answer without an end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dial, s = serverOf(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if err := Interrupt(ctx, dial, s, id); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestParseRunning(t *testing.T) {
	kernels := `[{"id":"0a1b2c3d-1","name":"ds","execution_state":"busy","last_activity":"2026-01-02T03:04:05.678901Z","connections":2},
		{"id":"../x","name":"evil"},{"id":"0a1b2c3d-2","name":"r","execution_state":"idle","last_activity":7,"connections":"many"}]`
	sessions := `[{"path":"a/b.ipynb","name":"b","kernel":{"id":"0a1b2c3d-1"}},{"path":"","name":"console","kernel":{"id":"0a1b2c3d-2"}},{"kernel":null}]`
	all := ParseRunning([]byte(kernels), []byte(sessions))
	if len(all) != 2 || all[0].Notebook != "a/b.ipynb" || all[0].Connections != 2 || all[0].Last.Nanosecond() == 0 || all[1].Notebook != "console" || !all[1].Last.IsZero() {
		b, _ := json.Marshal(all)
		t.Errorf("%s", b)
	}
}

func FuzzParseRunning(f *testing.F) {
	f.Add([]byte(`[{"id":"0a1b2c3d-1","name":"ds","execution_state":"busy","connections":2}]`), []byte(`[{"path":"a","kernel":{"id":"0a1b2c3d-1"}}]`))
	f.Fuzz(func(t *testing.T, kernels, sessions []byte) {
		for _, k := range ParseRunning(kernels, sessions) {
			if !idForm().MatchString(k.ID) || k.Connections < 0 || len(k.Notebook) > textLimit {
				t.Errorf("%+v", k)
			}
		}
	})
}
