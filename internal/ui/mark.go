package ui

// Mark is the sign of a row for what is printed elsewhere than by a UI: state
// is done, warn, fail or open.
func (u *UI) Mark(state string) string { return u.mark(state) }

// Text makes text from elsewhere fit for one line of the terminal.
func (u *UI) Text(s string) string { return u.text(s) }
