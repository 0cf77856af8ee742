package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// dap is a client of the Debug Adapter Protocol, as an editor is one.
type dap struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	seq   int
	heard []dapMessage
}

type dapMessage struct {
	Type    string         `json:"type"`
	Command string         `json:"command"`
	Event   string         `json:"event"`
	Reply   int            `json:"request_seq"`
	Success bool           `json:"success"`
	Message string         `json:"message"`
	Body    map[string]any `json:"body"`
}

func dialDAP(t *testing.T, l *lab.Lab, addr string) *dap {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := l.Dial(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	return &dap{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// send gives the number of the request.
func (d *dap) send(command string, arguments any) int {
	d.seq++
	raw, err := json.Marshal(map[string]any{"seq": d.seq, "type": "request", "command": command, "arguments": arguments})
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(d.conn, "Content-Length: %d\r\n\r\n%s", len(raw), raw)
	return d.seq
}

func (d *dap) read() (m dapMessage, err error) {
	size := 0
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			return m, err
		}
		if line == "\r\n" {
			break
		}
		fmt.Sscanf(line, "Content-Length: %d", &size)
	}
	raw := make([]byte, size)
	if _, err = io.ReadFull(d.in, raw); err == nil {
		err = json.Unmarshal(raw, &m)
	}
	return m, err
}

// await is the first message that will do, heard already or not.
func (d *dap) await(what string, will func(dapMessage) bool) dapMessage {
	d.t.Helper()
	for i, m := range d.heard {
		if will(m) {
			d.heard = append(d.heard[:i], d.heard[i+1:]...)
			return m
		}
	}
	for {
		m, err := d.read()
		if err != nil {
			d.t.Fatalf("%s: %v; heard %+v", what, err, d.heard)
		}
		if will(m) {
			return m
		}
		d.heard = append(d.heard, m)
	}
}

func (d *dap) event(name string) dapMessage {
	d.t.Helper()
	return d.await(name, func(m dapMessage) bool { return m.Type == "event" && m.Event == name })
}

func (d *dap) answer(seq int) dapMessage {
	d.t.Helper()
	m := d.await(fmt.Sprint("answer ", seq), func(m dapMessage) bool { return m.Type == "response" && m.Reply == seq })
	if !m.Success {
		d.t.Fatalf("%s: %s", m.Command, m.Message)
	}
	return m
}

func (d *dap) ask(command string, arguments any) dapMessage {
	d.t.Helper()
	return d.answer(d.send(command, arguments))
}

// attach attaches, with a breakpoint in a file here, and gives what is answered
// when the program stops there.
func (d *dap) attach(arguments map[string]any, file string, line int) {
	d.t.Helper()
	d.ask("initialize", map[string]any{"adapterID": "debugpy", "clientID": "test", "linesStartAt1": true, "columnsStartAt1": true, "pathFormat": "path"})
	attached := d.send("attach", arguments)
	d.event("initialized")
	d.breakpoints(file, line)
	d.ask("configurationDone", nil)
	d.answer(attached)
}

func (d *dap) breakpoints(file string, lines ...int) {
	d.t.Helper()
	all := []map[string]int{}
	for _, n := range lines {
		all = append(all, map[string]int{"line": n})
	}
	d.ask("setBreakpoints", map[string]any{"source": map[string]string{"path": file}, "breakpoints": all})
}

// stopped is where the program stops next: its thread, and the file and value of
// an expression there.
func (d *dap) stopped(expression string) (thread any, file, value string) {
	d.t.Helper()
	thread = d.event("stopped").Body["threadId"]
	frames := d.ask("stackTrace", map[string]any{"threadId": thread}).Body["stackFrames"].([]any)
	top := frames[0].(map[string]any)
	result := d.ask("evaluate", map[string]any{"expression": expression, "frameId": top["id"], "context": "watch"}).Body["result"]
	return thread, fmt.Sprint(top["source"].(map[string]any)["path"]), fmt.Sprint(result)
}

const debugTrain = `import sys
def step(n):
    total = n * 2
    return total
for n in range(3):
    print("step", step(n), flush=True)
print(sys.argv[1:], __name__)
sys.exit(5)
`

// A real client attaches with what ide has written, stops at a breakpoint of a
// file here, and goes on over a cut; debugging through ssh -L ends with it.
func TestRun_Debug(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir proj; ln -s "+lab.Jupyter+" proj/.venv")
	host.WriteFile(lab.Me, "/home/me/proj/train.py", debugTrain)
	l.Laptop.WriteFile(lab.Me, "/home/me/ws/train.py", debugTrain)
	files := []ideWritten{}
	if err := json.Unmarshal([]byte(l.Must("ide", "vscode", "--debug", "--json", "gpu1:proj").Stdout), &files); err != nil || len(files) != 2 {
		t.Fatalf("%v: %v", err, files)
	}
	var launch struct {
		Configurations []map[string]any `json:"configurations"`
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(files[1].Content, "${workspaceFolder}", "/home/me/ws")), &launch); err != nil {
		t.Fatal(err)
	}
	how := launch.Configurations[0]
	task := taskOf(t, files[0].Content, fmt.Sprint(how["preLaunchTask"]))
	args := strings.Split(strings.ReplaceAll(strings.Join(task.Args, "\n"), "${relativeFile}", "train.py"), "\n")

	j := l.Start(append(args, "-x", "1 2")...)
	j.Expect("nbremote: ready gpu1/train 127.0.0.1:5678\n", time.Minute)
	d := dialDAP(t, l, "127.0.0.1:5678")
	d.attach(how, "/home/me/ws/train.py", 4)
	thread, file, value := d.stopped("n + total")
	if file != "/home/me/ws/train.py" || value != "0" {
		t.Errorf("stopped in %s with %s", file, value)
	}
	host.HangUp()
	d.ask("continue", map[string]any{"threadId": thread})
	if _, _, value := d.stopped("n + total"); value != "3" {
		t.Errorf("stopped again with %s", value)
	}
	host.HangUp()
	d.breakpoints("/home/me/ws/train.py")
	d.ask("continue", map[string]any{"threadId": thread})
	d.event("terminated")
	if r := j.Wait(); r.Exit != 5 || r.Stdout != "step 0\nstep 2\nstep 4\n['-x', '1 2'] __main__\n" {
		t.Errorf("exit %d, %q, %s", r.Exit, r.Stdout, r.Stderr)
	}
	if r := l.Must("ls"); strings.Contains(r.Stdout, "5678") {
		t.Errorf("the port is still there: %s", r.Stdout)
	}
	lab.Wait(t, 20*time.Second, "debugpy to end", func() bool { return len(host.Running("debugpy")) == 0 })

	// The twin.
	python := "cd proj && exec .venv/bin/python -Xfrozen_modules=off -m debugpy --listen 127.0.0.1:5700 --wait-for-client train.py"
	done := make(chan lab.Result, 1)
	go func() { done <- l.SSH("gpu1", python) }()
	listens := func(m *lab.Machine) func() bool { // to be connected to and left is an end for debugpy
		return func() bool { return strings.Contains(m.Sh("cat /proc/net/tcp"), " 0100007F:1644 00000000:0000 0A ") }
	}
	lab.Wait(t, time.Minute, "debugpy to listen", listens(host))
	tunnel := l.Laptop.As(t.Context(), lab.Me, "/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-L", "5700:127.0.0.1:5700", "gpu1")
	if err := tunnel.Start(); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, time.Minute, "ssh to listen", listens(l.Laptop))
	twin := dialDAP(t, l, "127.0.0.1:5700")
	twin.attach(how, "/home/me/ws/train.py", 4)
	twin.stopped("n")
	host.HangUp()
	for {
		if _, err := twin.read(); err != nil {
			break
		}
	}
	tunnel.Wait()
	<-done
}

// ideWritten is a file of ide --json.
type ideWritten struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// Where debugpy is missing it is offered; ports that are taken; what is no
// Python program; started and left.
func TestRun_DebugOffered(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "/opt/nbremote-test/wheels")
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, `mkdir proj; cd proj; python3 -m venv --without-pip .venv
		ln -s `+lab.Jupyter+`/lib/python3.*/site-packages/pip .venv/lib/python3.*/site-packages/`)
	host.WriteFile(lab.Me, "/home/me/.config/pip/pip.conf", "[global]\nno-index = true\nfind-links = /opt/nbremote-test/wheels\n")
	host.WriteFile(lab.Me, "/home/me/proj/train.py", debugTrain)
	fails(t, l.Run("run", "--debug", "gpu1:proj", "--", "python", "train.py"), 255, "/home/me/proj/.venv/bin/python lacks debugpy", "the same with -y")
	fails(t, l.Run("run", "--debug", "gpu1:proj", "--", "make"), 255, `"make" is no Python program`, "python train.py")
	for _, m := range []*lab.Machine{host, l.Laptop} {
		ln, err := m.Listen("tcp", map[bool]string{true: "127.0.0.1:5678", false: "127.0.0.1:5679"}[m == host])
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	r := l.Must("run", "-y", "--debug", "-d", "--json", "gpu1:proj", "--", "python", "-u", "-m", "train", "x")
	var told struct{ Session, Debug string }
	if err := json.Unmarshal([]byte(r.Stdout), &told); err != nil || told.Session != "python" || told.Debug == "" || told.Debug == "127.0.0.1:5679" {
		t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
	}
	if !strings.Contains(r.Stderr, "installed") || !strings.Contains(r.Stderr, "the debugger gets another port here") {
		t.Errorf("it says %s", r.Stderr)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "127.0.0.1:5679  "+told.Debug) && !strings.Contains(r.Stdout, told.Debug) {
		t.Errorf("ls: %s", r.Stdout)
	}
	d := dialDAP(t, l, told.Debug)
	d.attach(map[string]any{"pathMappings": []any{map[string]string{"localRoot": "/w", "remoteRoot": "."}}}, "/w/train.py", 7)
	if _, file, value := d.stopped("sys.argv"); file != "/w/train.py" || value != "['/home/me/proj/train.py', 'x']" {
		t.Errorf("stopped in %s with %s", file, value)
	}
	stop := l.Start("stop", "-y", "gpu1/python")
	d.event("terminated")
	d.conn.Close() // as editors do
	if r := stop.Wait(); r.Exit != 0 {
		t.Errorf("stop: %s", r.Stderr)
	}
	l.Must("run", "--debug", "-d", "gpu1:proj", "--", "train.py") // and nobody attaches
	l.Must("stop", "-y", "gpu1/train")
	lab.Wait(t, 20*time.Second, "debugpy to end", func() bool { return len(host.Running("debugpy")) == 0 })
	lab.Wait(t, 20*time.Second, "the ports here to end", func() bool { return !strings.Contains(l.Must("ls").Stdout, "forward") })
}
