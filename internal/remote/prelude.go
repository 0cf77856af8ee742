package remote

import (
	_ "embed"
	"strings"
)

//go:embed prelude.sh
var preludeText string

//go:embed basics.sh
var basicsText string

//go:embed dirs.sh
var dirsText string

// Prelude is what every script of ours begins with: LC_ALL=C, umask 077, the
// usual folders at the end of PATH, and these sh functions:
//
//	put NAME VALUE            print a field
//	putfile NAME PATH MAX     print the first MAX bytes of a regular file as a field
//	puttail NAME PATH MAX     print its last MAX bytes as a field
//	fail CLASS TEXT [HINT]    end the script; the *ScriptError then has that class, cause and hint
//	nap                       sleep a tenth of a second
//	nbr_restore               in a subshell: the user's own LC_ALL, PATH and umask again
var Prelude = Compact(preludeText) + Basics

// Basics is the part of Prelude that a script which a script starts needs:
// nap and nbr_restore.
var Basics = Compact(basicsText)

// Dirs follows Prelude and makes the directories on the host. It sets
//
//	NBR_DATA     ~/.local/share/nbremote: durable, 0700, shared by machines that share a home
//	NBR_HOST     the key of this machine, for what must not be shared
//	NBR_NODE     NAME:PORT, its own name and the port of its sshd
//	NBR_RUN      sockets and locks: 0700, local to this machine, at most 46 bytes, the same each time
//	NBR_BOOT     what changes when the machine is started again
//	NBR_UID      the numeric user
//	NBR_LINGER   1 if what the user leaves running outlives a logout
//
// and defines own_dir PATH, which makes a directory and proves that it is
// ours, no link and 0700. A home that is full, read-only or somebody else's
// ends the script by fail, class missing.
var Dirs = Compact(dirsText)

// Places is Dirs for a script that only looks: nothing is made, and NBR_RUN is
// "" where there is no such directory yet.
var Places = "NBR_LOOK=1\n" + Dirs

// Compact drops the comments and the indentation of shell text that has no
// lines of data: it crosses the line with every script.
func Compact(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, "\t")
		if line != "\n" && !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}
