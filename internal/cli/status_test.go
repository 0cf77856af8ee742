package cli

import (
	"strings"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/jupyter"
)

var noon = time.Date(2026, 5, 4, 14, 2, 11, 0, time.Local)

// text is the block of one host as it is printed 100 s after noon.
func text(s hostStatus) string {
	var b strings.Builder
	for _, row := range s.rows(noon.Add(100 * time.Second)) {
		b.WriteString("  " + row[0] + " " + row[1] + "\n")
	}
	return b.String()
}

func TestStatus_Text(t *testing.T) {
	on := &holder.Link{On: true, RTTMS: 23.4, Quota: 1 << 30}
	waits := &holder.Link{
		On: true, Here: 340, There: 12 << 20, Spool: 12 << 20, Quota: 1 << 30, Lost: 1,
		Cuts: []holder.Cut{
			{From: noon.Add(-4 * time.Hour), To: noon.Add(-4*time.Hour + time.Second)},
			{From: noon.Add(-3 * time.Hour), To: noon.Add(-3*time.Hour + 12*time.Second)},
			{From: noon.Add(-2 * time.Hour), To: noon.Add(-2*time.Hour + 260*time.Second)},
			{From: noon.Add(-48 * time.Hour), To: noon.Add(-48*time.Hour + 9*time.Hour + 12*time.Minute)},
		},
	}
	main := pageStatus{Session: "main", Kernels: 2, Busy: 1, Tabs: 1, Reported: noon.Add(90 * time.Second)}
	printing := main
	printing.BusyIn, printing.Waiting = []string{"train.ipynb"}, 3
	left := &measured{Machine: jupyter.Machine{
		GPUs: []jupyter.GPU{{Name: "H100", Percent: 96, Mine: true}}, Memory: jupyter.Memory{Total: 256 << 30, Available: 168 << 30},
		Disk: jupyter.Disk{Total: 100, Available: 39},
	}, At: noon, Old: true}
	now := *left
	now.Old = false
	for name, c := range map[string]struct {
		s    hostStatus
		want string
	}{
		"up": {hostStatus{State: holder.Up, Since: noon, Link: on, Pages: []pageStatus{main}, Machine: &now}, `
  line   up since 14:02:11; round trip 23 ms
  kept   by the relay: a lost line loses no output; nothing waits; spool 0 B of 1 GB
  main   2 kernels, 1 busy; 1 tab; GPU 0 H100 96 %; memory 88/256 GB; home 61 % full
`},
		"down at a gateway": {hostStatus{Host: "gpu1", State: holder.Down, Since: noon, Reason: "x", Hop: "bastion", NextTry: noon.Add(101500 * time.Millisecond), Link: waits, Pages: []pageStatus{printing}, Machine: left}, `
  line   down since 14:02:11 (1 min 40 s): bastion does not answer; next try in 2 s
  kept   1 cell running (train.ipynb), 3 requests waiting; 340 B here, 12 MB there wait, as far as is known; spool 12 MB of 1 GB; 1 stream lost: the relay ended, or its spool was full; last cuts: Saturday 14:02 for 9 h 12 min, 12:02:11 for 4 min 20 s, 11:02:11 for 12 s
  main   2 kernels, 1 busy; 1 tab; GPU 0 H100 96 %; memory 88/256 GB; home 61 % full   (at 14:02)
`},
		"suspect": {hostStatus{State: holder.Suspect, Since: noon.Add(96 * time.Second), Reason: "nothing has come from the host for some seconds", Link: on}, `
  line   suspect since 14:03:47 (4 s): nothing has come from the host for some seconds; another connection is being made
  kept   0 lost; 0 B here, 0 B there wait, as far as is known; spool 0 B of 1 GB
`},
		"many cells": {hostStatus{State: holder.Down, Since: noon, Reason: "x", Link: on, Pages: []pageStatus{
			{Session: "a", Kernels: 5, Busy: 5, BusyIn: []string{"1.ipynb", "2.ipynb", "3.ipynb", "4.ipynb", "5.ipynb"}, Waiting: 1, Reported: noon},
		}}, `
  line   down since 14:02:11 (1 min 40 s): x
  kept   5 cells running (1.ipynb, 2.ipynb, 3.ipynb, and 2 more), 1 request waiting, 0 lost; 0 B here, 0 B there wait, as far as is known; spool 0 B of 1 GB
  a      5 kernels, 5 busy (at 14:02); 0 tabs
`},
		"a page is away": {hostStatus{State: holder.Up, Since: noon, Link: on, Pages: []pageStatus{{
			Session: "main", Kernels: 2, Reported: noon,
			Kept: []holder.Kept{
				{Kernel: "a", Messages: 12000, Bytes: 3 << 20, Away: noon.Add(50 * time.Second)},
				{Kernel: "b", Away: noon.Add(40 * time.Second)}, {Kernel: "c", Messages: 1, Bytes: 1},
			},
			Dropped: []holder.Dropped{{Kernel: "a", Messages: 1, From: noon, To: noon.Add(time.Second), Why: "the room for kept messages is full"}},
		}}}, `
  line   up since 14:02:11; round trip 23 ms
  kept   by the relay: a lost line loses no output; nothing waits; spool 0 B of 1 GB
  away   the page of 2 kernels, since 14:02:51; 12000 messages (3 MB) wait for it until 11 May, 14:02, and come when it wakes up. A tab that was restored or loaded anew is another page: what it does not show comes when its cell is run again; 1 message from 14:02:11 to 14:02:12 lost: the room for kept messages is full
  main   2 kernels (at 14:02); 0 tabs
`},
		"direct": {hostStatus{State: holder.Up, Since: noon, Link: &holder.Link{Why: "no python3 there"}, Pages: []pageStatus{
			{Session: "a", Kernels: 0, Reported: noon}, {Session: "longer", Ended: true},
		}, Host: "gpu1", Machine: &now}, `
  line     up since 14:02:11
  kept     nothing by nbremote; direct: no python3 there
  a        no kernels (at 14:02); 0 tabs
  longer   ended; nbremote open gpu1/longer starts it anew
  host     GPU 0 H100 96 %; memory 88/256 GB; home 61 % full
`},
		"an older holder, a gateway": {hostStatus{State: holder.Up, Since: noon.Add(-24 * time.Hour), Behind: 2}, `
  line   up since yesterday 14:02; 2 connections through it
`},
		"needs sign-in": {hostStatus{Host: "gpu1", State: holder.NeedsSignIn, Since: noon, Reason: "the line was lost, and signing in needs a person", Link: &holder.Link{}}, `
  line   needs sign-in since 14:02:11 (1 min 40 s): the line was lost, and signing in needs a person; nbremote open gpu1
  kept   not known yet: the relay on the host is being asked
`},
		"at a gateway that needs sign-in": {hostStatus{State: holder.Down, Since: noon, Hop: "bastion", hopNeed: true, Pages: []pageStatus{{Session: "main"}}}, `
  line   down since 14:02:11 (1 min 40 s): bastion needs sign-in
  main   kernels not known yet; 0 tabs
`},
	} {
		if got := "\n" + text(c.s); got != c.want {
			t.Errorf("%s: got%swant%s", name, got, c.want)
		}
	}
}

// What only the time changes does not count; what a person would look for does.
func TestStatus_Same(t *testing.T) {
	s := func(change func(*hostStatus)) []hostStatus {
		out := hostStatus{
			State: holder.Up, Link: &holder.Link{On: true, RTTMS: 1}, Pages: []pageStatus{{Session: "main", Reported: noon}},
			Machine: &measured{At: noon, Machine: jupyter.Machine{Memory: jupyter.Memory{Total: 4 << 30, Available: 3 << 30}}},
		}
		change(&out)
		return []hostStatus{out}
	}
	was := s(func(*hostStatus) {})
	for name, c := range map[string]struct {
		change func(*hostStatus)
		same   bool
	}{
		"nothing":     {func(*hostStatus) {}, true},
		"round trip":  {func(s *hostStatus) { s.Link.RTTMS = 2 }, true},
		"next try":    {func(s *hostStatus) { s.NextTry = noon }, true},
		"later":       {func(s *hostStatus) { s.Pages[0].Reported, s.Machine.At = noon.Add(1), noon.Add(1) }, true},
		"state":       {func(s *hostStatus) { s.State = holder.Suspect }, false},
		"busy":        {func(s *hostStatus) { s.Pages[0].Busy = 1 }, false},
		"under way":   {func(s *hostStatus) { s.Link.There, s.Pages[0].Waiting = 1, 1 }, true},
		"waits":       {func(s *hostStatus) { s.Link.There = 2 << 20 }, false},
		"a byte":      {func(s *hostStatus) { s.Machine.Memory.Available++ }, true},
		"memory":      {func(s *hostStatus) { s.Machine.Memory.Available = 1 << 30 }, false},
		"another tab": {func(s *hostStatus) { s.Pages[0].Tabs++ }, false},
	} {
		if got := same(was, s(c.change)); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
	held := func(n int) []hostStatus {
		return s(func(s *hostStatus) { s.State, s.Pages[0].Waiting = holder.Down, n })
	}
	if same(held(1), held(2)) || !same(held(1), held(1)) {
		t.Error("a request that waits for a line that is down")
	}
	if !was[0].Pages[0].Reported.Equal(noon) || was[0].Link.RTTMS != 1 {
		t.Error("comparing changes what is compared")
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 1023: "1023 B", 1024: "1 kB", 1536: "1.5 kB", 12 << 20: "12 MB", 1<<20 - 1: "1 MB", 10 << 30: "10 GB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
