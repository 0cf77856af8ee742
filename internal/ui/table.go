package ui

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Table writes rows in columns that are two spaces apart. Cells are made safe.
func Table(w io.Writer, rows [][]string) error {
	widths := []int{}
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], wide(oneLine(cell)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += pad(oneLine(cell), widths[i]+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Since says when t was, as people do: "18:02", "yesterday 18:02",
// "Monday 18:02", "2024-01-31 18:02".
func Since(t time.Time) string { return SinceAt(t, time.Now()) }

// SinceAt is Since as it would be said at another time.
func SinceAt(t, now time.Time) string {
	if t.IsZero() {
		return "some time"
	}
	t, now = t.Local(), now.Local()
	days := int(midnight(now).Sub(midnight(t)).Hours()+12) / 24 // a day of the clock change has 23 or 25
	switch {
	case t.After(now.Add(time.Minute)): // the clocks differ
		return t.Format("2006-01-02 15:04")
	case days <= 0:
		return t.Format("15:04")
	case days == 1:
		return "yesterday " + t.Format("15:04")
	case days < 7:
		return t.Format("Monday 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// Short is a duration in its largest unit: "12s", "41m", "18h", "3d".
func Short(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// Long is a duration in its two largest units: "12 s", "4 min 20 s",
// "9 h 12 min", "3 days".
func Long(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	two := func(n int, unit string, m int, smaller string) string {
		if m == 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		return fmt.Sprintf("%d %s %d %s", n, unit, m, smaller)
	}
	s := int(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 48*3600:
		return two(s/3600, "h", s/60%60, "min")
	}
	return fmt.Sprintf("%d days", s/86400)
}
