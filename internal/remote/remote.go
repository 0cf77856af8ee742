// Package remote talks to a POSIX shell on a host: it quotes values, frames
// scripts so that one shell answers many of them through whatever the login
// shell prints, and knows where on the host our directories are. It does not
// know how the host is reached.
package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"strings"
)

// Runner runs a script on a host and returns what it printed. A script that
// ends with a status other than 0 is a *ScriptError.
type Runner interface {
	Run(ctx context.Context, script string) (stdout []byte, err error)
}

// Streamer runs a script on a host and gives its output as it comes, as
// NewStream does. Close ends the script.
type Streamer interface {
	Stream(ctx context.Context, script string) (io.ReadCloser, error)
}

// Command is all that the login shell is ever asked to run: no quoting is safe
// in every login shell, and arguments are seen by every user of the host.
const Command = "exec /bin/sh -s"

// Quote makes s one word of POSIX shell text. NUL bytes, which no word can
// hold, are left out.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// NewNonce returns 128 random bits in hex.
func NewNonce() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// sacrificial lines are for rc files that read from stdin.
const sacrificial = ":\n:\n:\n:\n:\n:\n:\n:\n"

// Frame is what is written to the stdin of a shell to run body: the answer is
// for ReadAnswer or NewStream with the same nonce. The body is one function,
// run in a subshell with stdin from /dev/null, so the shell is as before and
// takes the next Frame. In the body, file descriptor 3 is the shell's own
// stdin: its end says that nobody reads any more.
func Frame(nonce, body string) string {
	run := "nbr_" + nonce
	return sacrificial + strings.Join([]string{
		// The line that tells a shell which runs from one which only echoes.
		echoMark(nonce),
		run + "() {",
		":",
		body,
		"}",
		`[ "${NBR_IN-}" = "$$" ] || { exec 3<&0; NBR_IN=$$; }`,
		"printf 'begin %s\\n' " + nonce + "; (" + run + " </dev/null); printf 'end %s %s\\n' " + nonce + ` "$?"; unset -f ` + run,
		"",
	}, "\n")
}

func echoMark(nonce string) string { return ": echo " + nonce + "\n" }
