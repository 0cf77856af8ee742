package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// debugging is a session of the debugger, as JupyterLab has it.
const debugging = `seq = 0
def ask(command, **arguments):
    global seq
    seq += 1
    m = kc.session.msg("debug_request", {"type": "request", "seq": seq, "command": command, "arguments": arguments})
    kc.control_channel.send(m)
    while True:
        r = kc.get_control_msg(timeout=30)
        if r["parent_header"].get("msg_id") == m["header"]["msg_id"]:
            assert r["content"]["success"], r["content"]
            return r["content"].get("body") or {}
def stopped(timeout):
    while True:
        m = kc.get_iopub_msg(timeout=timeout)
        if m["msg_type"] == "debug_event" and m["content"]["event"] == "stopped":
            break
    thread = m["content"]["body"]["threadId"]
    frame = ask("stackTrace", threadId=thread)["stackFrames"][0]
    scope = ask("scopes", frameId=frame["id"])["scopes"][0]
    x = [v["value"] for v in ask("variables", variablesReference=scope["variablesReference"])["variables"] if v["name"] == "x"]
    return thread, frame["line"], x
code = """import os, time
x = 1
x += 1
def at(place): open(os.path.expanduser("~/" + place + ("" if "JPY_PARENT_PID" in os.environ else "-twin")), "w").close()
at("went")
while not os.path.exists(os.path.expanduser("~/go")): time.sleep(0.05)
at("near")
x *= 10
print("x is", x)
"""
def first():
    global cell, thread
    ask("initialize", clientID="jupyterlab", clientName="JupyterLab", adapterID="python", pathFormat="path", locale="en", linesStartAt1=True,
        columnsStartAt1=True, supportsVariableType=True, supportsVariablePaging=True, supportsRunInTerminalRequest=True)
    ask("attach")
    path = ask("dumpCell", code=code)["sourcePath"]
    lines = [b["verified"] for b in ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": 3}, {"line": 8}], sourceModified=False)["breakpoints"]]
    ask("configurationDone")
    cell = kc.execute(code)
    thread, line, x = stopped(30)
    return lines, line, x
def on():
    ask("continue", threadId=thread)
def second():
    thread, line, x = stopped(8)
    ask("next", threadId=thread)
    after = stopped(8)
    ask("continue", threadId=thread)
    while True:
        r = kc.get_shell_msg(timeout=30)
        if r["parent_header"].get("msg_id") == cell:
            break
    ask("disconnect", restart=False, terminateDebuggee=False)
    return line, x, after[1:], r["content"]["status"], run("x")
`

// A breakpoint that is reached while the line is down is told when it is back,
// and the session goes on. Over ssh -L it is never told.
func TestLaptopKernel_Debugger(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	l.Must("close", "gpu1")
	host := l.Host("gpu1")
	box, other := l.Box(host, "gpu1"), l.Box(host, "twin")
	putTwin(l)
	l.Laptop.WriteFile(lab.Me, "/home/me/debugging.py", debugging)
	ours, twin := newEditor(t, l), newEditor(t, l)
	for e, kernel := range map[*editor]string{ours: name, twin: "twin"} {
		e.ask(`begin("`+kernel+`")`, "None")
		e.ask(`exec(open("/home/me/debugging.py").read(), globals())`, "None")
		e.ask(`first()`, "([True, True], 3, ['1'])")
		e.ask(`on()`, "None")
	}
	both := func(place string) func() bool {
		return func() bool {
			return host.ShAs(lab.Me, "ls ~/"+place+" ~/"+place+"-twin 2>/dev/null | wc -l") == "2\n"
		}
	}
	lab.Wait(t, 30*time.Second, "both to run on", both("went"))
	for _, b := range []*lab.Box{box, other} {
		b.Refuse(true)
		b.Reset()
	}
	host.ShAs(lab.Me, "touch go")
	lab.Wait(t, 30*time.Second, "both to be at the second breakpoint", both("near"))
	time.Sleep(time.Second) // how long the line stays down after it
	box.Refuse(false)
	other.Refuse(false)
	twin.tell(`second()`)
	ours.ask(`second()`, "(8, ['2'], (9, ['20']), 'ok', '20')")
	if got := twin.hear(90 * time.Second); !strings.HasPrefix(got, "raised") {
		t.Errorf("the twin lost nothing: %s", got)
	}
	ours.ask(`km.shutdown_kernel()`, "None")
}
