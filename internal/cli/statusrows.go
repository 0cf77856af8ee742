package cli

import (
	"fmt"
	"math"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/internal/webproxy"
)

// rows are the lines of one host, each a name in a column and a text.
func (s *hostStatus) rows(now time.Time) [][2]string {
	rows := [][2]string{{"line", s.line(now)}}
	if text := s.kept(now); text != "" {
		rows = append(rows, [2]string{"kept", text})
	}
	if text := s.away(now); text != "" {
		rows = append(rows, [2]string{"away", text})
	}
	for _, p := range s.Pages {
		rows = append(rows, [2]string{p.Session, p.text(s.Host, now)})
		if p.Limits != "" {
			rows = append(rows, [2]string{"", p.Limits})
		}
	}
	rows = append(rows, s.scriptRows(now)...)
	for _, t := range tunnelsOnce(s.Tunnels) {
		if t.Kernel != "" {
			rows = append(rows, [2]string{"kernel", t.Connection + " to " + t.Kernel})
			continue
		}
		rows = append(rows, [2]string{t.Kind, tunnelText(t)})
	}
	if m := s.Machine; m != nil && machine(&m.Machine) != "" {
		text := machine(&m.Machine)
		if m.Old {
			text += "   (" + at(m.At, now) + ")"
		}
		if len(s.Pages) == 1 && s.Pages[0].Limits == "" && len(s.Scripts)+len(s.Tunnels) == 0 {
			rows[len(rows)-1][1] += "; " + text
		} else {
			rows = append(rows, [2]string{"host", text})
		}
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for i := range rows {
		rows[i][0] += strings.Repeat(" ", width-len(rows[i][0])+2)
	}
	return rows
}

// tunnelText is where a proxy or a forward leads, and whether it is used.
func tunnelText(t holder.Tunnel) string {
	text := t.Local()
	if t.Kind == holder.Remote {
		text += " there"
	}
	if what := tunnelWhat(t); what != "" {
		text += " to " + what
	}
	if t.Open > 0 {
		text += fmt.Sprintf("; %d %s", t.Open, plural(t.Open, "connection"))
	}
	return text
}

// line says what the line does.
func (s *hostStatus) line(now time.Time) string {
	var parts []string
	since := fmt.Sprintf(" since %s (%s)", clock(s.Since, now), ui.Long(now.Sub(s.Since)))
	switch s.State {
	case holder.Up:
		parts = append(parts, "up since "+clock(s.Since, now))
		if s.Link != nil && s.Link.RTTMS > 0 {
			parts = append(parts, "round trip "+milliseconds(s.Link.RTTMS))
		}
	case holder.Suspect:
		parts = append(parts, "suspect"+since+": "+s.why()+"; another connection is being made")
	case holder.Down:
		parts = append(parts, "down"+since+": "+s.why())
		if s.NextTry.After(now) {
			parts = append(parts, "next try in "+ui.Long(s.NextTry.Sub(now)+time.Second-1))
		}
	case holder.NeedsSignIn, holder.Stopped:
		parts = append(parts, string(s.State)+since+": "+s.why(), "nbremote open "+shellWord(s.Host))
	case holder.Silent:
		parts = append(parts, string(s.State)+": "+s.Reason, (&holder.SilentError{PID: s.pid}).Hint())
	default:
		parts = append(parts, string(s.State)+since)
	}
	if s.Node != "" {
		parts = append(parts, "on "+s.Node)
	}
	if s.Behind > 0 {
		parts = append(parts, fmt.Sprintf("%d %s through it", s.Behind, plural(s.Behind, "connection")))
	}
	return strings.Join(parts, "; ")
}

// why the line is not up: the gateway that is not, else what the holder says.
func (s *hostStatus) why() string {
	switch {
	case s.Hop != "" && s.hopNeed:
		return s.Hop + " needs sign-in"
	case s.Hop != "":
		return s.Hop + " does not answer"
	case s.Reason != "":
		return s.Reason
	}
	return "no reason is known"
}

// kept says what a lost line costs, and what waits for it; "" where that is not
// known.
func (s *hostStatus) kept(now time.Time) string {
	l := s.Link
	switch {
	case l == nil:
		return ""
	case !l.On && l.Why == "":
		return "not known yet: the relay on the host is being asked"
	case !l.On:
		return "nothing by nbremote; direct: " + l.Why
	}
	parts := []string{"by the relay: a lost line loses no output"}
	switch waits := fmt.Sprintf("%s here, %s there wait", size(l.Here), size(l.There)); {
	case s.State != holder.Up:
		parts = []string{s.held(), waits + ", as far as is known"}
	case l.Here+l.There == 0:
		parts = append(parts, "nothing waits")
	default:
		parts = append(parts, waits)
	}
	if l.Quota > 0 {
		parts = append(parts, "spool "+size(l.Spool)+" of "+size(l.Quota))
	}
	if l.Lost > 0 {
		parts = append(parts, fmt.Sprintf("%d %s lost: the relay ended, or its spool was full", l.Lost, plural(l.Lost, "stream")))
	}
	if cuts := lastCuts(l.Cuts, now); cuts != "" {
		parts = append(parts, cuts)
	}
	return strings.Join(parts, "; ")
}

// away says what waits for pages whose websockets are away, and what of that
// was lost.
func (s *hostStatus) away(now time.Time) string {
	var kept []holder.Kept
	var lost []holder.Dropped
	for _, p := range s.Pages {
		kept = append(kept, p.Kept...)
		lost = append(lost, p.Dropped...)
	}
	var parts []string
	if text := awayText(kept, now); text != "" {
		parts = append(parts, text)
	}
	for _, d := range lost[max(0, len(lost)-3):] {
		parts = append(parts, fmt.Sprintf("%d %s from %s to %s lost: %s",
			d.Messages, plural(int(d.Messages), "message"), clock(d.From, now), clock(d.To, now), d.Why))
	}
	return strings.Join(parts, "; ")
}

// awayText says what waits for pages that are away, how long, and who gets it;
// "" where none is.
func awayText(kept []holder.Kept, now time.Time) string {
	var sum holder.Kept
	kernels := map[string]bool{}
	for _, k := range kept {
		if k.Away.IsZero() {
			continue
		}
		kernels[k.Kernel] = true
		sum.Messages += k.Messages
		sum.Bytes += k.Bytes
		if sum.Away.IsZero() || k.Away.Before(sum.Away) {
			sum.Away = k.Away
		}
	}
	n := len(kernels)
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("the page of %d %s, since %s; %d %s (%s) wait for it",
		n, plural(n, "kernel"), clock(sum.Away, now), sum.Messages, plural(int(sum.Messages), "message"), size(sum.Bytes))
	if sum.Messages == 0 {
		return text
	}
	until := sum.Away.Add(webproxy.KeepFor).Local().Format("2 January, 15:04")
	return text + " until " + until + ", and come when it wakes up. A tab that was restored or loaded anew is another page: what it does not show comes when its cell is run again"
}

// held is what goes on behind a line that is not up, as it was last heard, and
// what waits in front of it.
func (s *hostStatus) held() string {
	busy, requests := 0, 0
	var in, parts []string
	for _, p := range s.Pages {
		busy, requests, in = busy+p.Busy, requests+p.Waiting, append(in, p.BusyIn...)
	}
	if busy > 0 {
		text := fmt.Sprintf("%d %s running", busy, plural(busy, "cell"))
		if len(in) > 3 {
			in = append(in[:3:3], fmt.Sprintf("and %d more", len(in)-3))
		}
		if len(in) > 0 {
			text += " (" + strings.Join(in, ", ") + ")"
		}
		parts = append(parts, text)
	}
	if requests > 0 {
		parts = append(parts, fmt.Sprintf("%d %s waiting", requests, plural(requests, "request")))
	}
	if s.Link.Lost == 0 {
		parts = append(parts, "0 lost")
	}
	if len(parts) == 0 {
		return "by the relay"
	}
	return strings.Join(parts, ", ")
}

// lastCuts are the last three, the newest first.
func lastCuts(cuts []holder.Cut, now time.Time) string {
	var parts []string
	for i := len(cuts) - 1; i >= max(0, len(cuts)-3); i-- {
		parts = append(parts, clock(cuts[i].From, now)+" for "+ui.Long(cuts[i].To.Sub(cuts[i].From)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "last " + plural(len(parts), "cut") + ": " + strings.Join(parts, ", ")
}

// text says what runs behind a page.
func (p pageStatus) text(host string, now time.Time) string {
	if p.Ended && p.Limits != "" {
		return "does not answer, or not to its token any more; again: " + p.again
	}
	if p.Ended {
		return "ended; nbremote open " + shellWord(host+"/"+p.Session) + " starts it anew"
	}
	text := fmt.Sprintf("%d %s", p.Kernels, plural(p.Kernels, "kernel"))
	switch {
	case p.Reported.IsZero():
		text = "kernels not known yet"
	case p.Kernels == 0:
		text = "no kernels"
	}
	if p.Busy > 0 {
		text += fmt.Sprintf(", %d busy", p.Busy)
	}
	if !p.Reported.IsZero() && now.Sub(p.Reported) > time.Minute {
		text += " (" + at(p.Reported, now) + ")"
	}
	return text + fmt.Sprintf("; %d %s", p.Tabs, plural(p.Tabs, "tab"))
}

// at is "at 14:02", or the day with it.
func at(t, now time.Time) string {
	if t, now = t.Local(), now.Local(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("at 15:04")
	}
	return ui.SinceAt(t, now)
}

// clock is "14:02:11", or the day with it.
func clock(t, now time.Time) string {
	if t, now = t.Local(), now.Local(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return ui.SinceAt(t, now)
}

func milliseconds(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// size is "340 B", "2.5 MB", "10 GB": 1024 of one are the next.
func size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	n, u := float64(max(bytes, 0)), 0
	for ; n >= 1023.5 && u < len(units)-1; u++ {
		n /= 1024
	}
	if n = math.Round(10*n) / 10; n < 10 && n != math.Trunc(n) {
		return fmt.Sprintf("%.1f %s", n, units[u])
	}
	return fmt.Sprintf("%.0f %s", n, units[u])
}
