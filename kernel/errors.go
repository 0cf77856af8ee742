package kernel

import (
	"fmt"
	"strings"
)

// UsageError is a wish that cannot be granted as it was written.
type UsageError struct{ What, Try string }

func (e *UsageError) Error() string { return e.What }

// Class is usage.
func (e *UsageError) Class() string { return "usage" }

// Hint is what to write instead.
func (e *UsageError) Hint() string { return e.Try }

// MissingError is a host where something needed is not there.
type MissingError struct{ What, Why, Try string }

func (e *MissingError) Error() string { return e.What }

// Class is missing.
func (e *MissingError) Class() string { return "missing" }

// Cause is why it is not.
func (e *MissingError) Cause() string { return e.Why }

// Hint is what to paste.
func (e *MissingError) Hint() string { return e.Try }

// NotFoundError is a kernel that is not there.
type NotFoundError struct{ What string }

func (e *NotFoundError) Error() string { return e.What }

// Class is not-found.
func (e *NotFoundError) Class() string { return "not-found" }

// NoKernelError is an environment without ipykernel. Nothing was added.
type NoKernelError struct{ Env string }

func (e *NoKernelError) Error() string {
	return fmt.Sprintf("add %s: ipykernel is not installed there; nothing was added", e.Env)
}

// Class is missing.
func (e *NoKernelError) Class() string { return "missing" }

// Cause is what Python would say.
func (e *NoKernelError) Cause() string { return "No module named ipykernel" }

// Hint is what to paste.
func (e *NoKernelError) Hint() string { return "nbremote kernel add " + shown(e.Env) + " --install" }

// ProofError is a kernel that was not added because it does not work.
type ProofError struct {
	Name  string   // of the kernelspec
	Text  string   // "it does not start"
	Words []string // its own last ones, at most 20
	Try   string
}

func (e *ProofError) Error() string {
	return fmt.Sprintf("prove kernel %s: %s; nothing was added", e.Name, e.Text)
}

// Class is missing.
func (e *ProofError) Class() string { return "missing" }

// Cause is the line that says why, or "".
func (e *ProofError) Cause() string {
	for i := len(e.Words) - 1; i >= 0; i-- {
		if telling(e.Words[i]) {
			return e.Words[i]
		}
	}
	if len(e.Words) > 0 {
		return e.Words[len(e.Words)-1]
	}
	return ""
}

// Hint is what to run on the host to see it.
func (e *ProofError) Hint() string { return e.Try }

// Log is its own last words.
func (e *ProofError) Log() string { return strings.Join(e.Words, "\n") }

func telling(line string) bool {
	lower := strings.ToLower(line)
	for _, word := range []string{"error", "no module named", "not found", "no such file", "cannot", "denied"} {
		if strings.Contains(lower, word) {
			return !strings.HasPrefix(line, " ")
		}
	}
	return false
}

// UnseenError is a Jupyter that does not look where kernels are added.
type UnseenError struct{ Name, Dir string }

func (e *UnseenError) Error() string {
	return fmt.Sprintf("add kernel %s: the Jupyter there does not look in %s; nothing was added", e.Name, e.Dir)
}

// Class is missing.
func (e *UnseenError) Class() string { return "missing" }

// Cause says how that comes.
func (e *UnseenError) Cause() string {
	return "it has another data directory, shows chosen kernels only, or runs in a container"
}

// Hint is what to paste.
func (e *UnseenError) Hint() string { return "jupyter --paths" }

// Brief is what tells one kernelspec from another.
type Brief struct {
	Argv0       string `json:"argv0"`
	Dir         string `json:"dir"` // "" = not known
	DisplayName string `json:"display_name"`
}

// TakenError is a name that another kernel has. Nothing was changed.
type TakenError struct {
	Name     string
	Old, New Brief
	Shadowed bool // the other comes first wherever ours would lie: force does not help
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("add kernel %s: another kernel has that name; nothing was changed", e.Name)
}

// Class is usage.
func (e *TakenError) Class() string { return "usage" }

// Cause shows both.
func (e *TakenError) Cause() string {
	where := ""
	if e.Old.Dir != "" {
		where = " in " + e.Old.Dir
	}
	how := ""
	if e.Old.Argv0 == e.New.Argv0 {
		how = ", but started or named otherwise"
	}
	return fmt.Sprintf("there: %q with %s%s; new: %q with %s%s", e.Old.DisplayName, e.Old.Argv0, where, e.New.DisplayName, e.New.Argv0, how)
}

// Hint is what to write instead.
func (e *TakenError) Hint() string {
	if e.Shadowed {
		return "--name OTHER"
	}
	return "--force replaces it, --name OTHER keeps both"
}

// shown writes a word as a person would type it; ~/ is left to the shell.
func shown(word string) string {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-/+@%,:=", c))
	}
	home, rest := "", word
	if after, ok := strings.CutPrefix(word, "~/"); ok {
		home, rest = "~/", after
	}
	if word == "~" || word != "" && !strings.ContainsFunc(rest, odd) {
		return word
	}
	return home + quote(rest)
}
