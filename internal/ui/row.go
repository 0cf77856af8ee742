package ui

import (
	"fmt"
	"strings"
	"time"
)

const (
	nameColumn = 10
	textColumn = 38
)

// mark is the sign at the start of a row.
func (u *UI) mark(state string) string {
	marks := map[string][2]string{"done": {"✓", "+"}, "warn": {"!", "!"}, "fail": {"✗", "x"}, "open": {"…", "."}}
	if u.unicode {
		return marks[state][0]
	}
	return marks[state][1]
}

// row is "  ✓ name      text                 0.4s", without the columns where
// the window is too narrow for them.
func (u *UI) row(mark, name, text string, took *time.Duration) string {
	name, text = u.text(name), u.text(text)
	time := ""
	if took != nil {
		time = seconds(took.Round(100 * 1e6))
		if *took < 100*1e9 {
			time = fmt.Sprintf("%.1fs", took.Seconds())
		}
	}
	line := "  " + mark + " " + pad(name, nameWidth(name))
	if time == "" {
		line += text
	} else {
		line += pad(text, textColumn) + " " + time
	}
	if w := u.width(); w > 0 && wide(line) > w {
		line = strings.TrimRight("  "+mark+" "+strings.Join([]string{name, text, time}, " "), " ")
	}
	return strings.TrimRight(line, " ")
}

// nameWidth is the column of the text: the common one, or behind a long name.
func nameWidth(name string) int {
	switch {
	case strings.Contains(name, "/"): // a session stands apart from what is said of it
		return max(wide(name)+3, nameColumn)
	case wide(name) < nameColumn:
		return nameColumn
	}
	return wide(name) + 2
}

// text makes foreign text fit for one line of this terminal.
func (u *UI) text(s string) string {
	s = oneLine(s)
	if u.unicode {
		return s
	}
	return ascii(s)
}

// ascii replaces what a terminal without UTF-8 would take for something else.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r == '…':
			b.WriteString("...")
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// oneLine is Safe for text that must stay on its line.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(Safe(strings.Trim(s, "\r\n")))
}

// wide counts columns.
func wide(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is 2 for East Asian wide letters and emoji, 0 for what joins the
// letter before it.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r <= 0x36f, r == 0x200b, r == 0x200c, r == 0x200d, r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(columns-wide(s), 0))
}

// cut keeps what fits into columns.
func cut(s string, columns int) string {
	n := 0
	for i, r := range s {
		n += runeWidth(r)
		if n > columns {
			return s[:i]
		}
	}
	return s
}

func seconds(d time.Duration) string {
	s := int(d.Seconds())
	if s < 60 {
		return fmt.Sprintf("%ds", s)
	}
	return fmt.Sprintf("%dm%02ds", s/60, s%60)
}
