package kernel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"nbremote/internal/remote"
)

func quote(s string) string { return remote.Quote(s) }

// Conda's own activation scripts. Always run, since packages that are
// installed later bring theirs.
const activate = `for f in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do [ -f "$f" ] && . "$f"; done` + "\n"

const last = `exec "$@"`

// launch is how a kernel is started: [bash FLAG TEXT nbremote] PYTHON… and
// what else its argv has.
type launch struct {
	python []string // up to the interpreter's own arguments
	flag   string   // of bash; "" = without
	text   string
	path   string // directory in front of PATH, "" = as it is
	env    []variable
	notes  []string
}

func newLaunch(w *Wish) (*launch, error) {
	l := &launch{python: []string{w.Env.Python}}
	switch {
	case w.With && (w.Env.Tool == "" || w.Env.Project == ""):
		return nil, &MissingError{What: "run " + w.Env.Name + " with uv: there is no uv, or it is no project", Try: "without --with"}
	case w.With:
		l.python = []string{w.Env.Tool, "run", "--project", w.Env.Project, "--with", "ipykernel", "python"}
	default:
		l.surround(&w.Env)
	}
	for _, kv := range w.Setenv {
		key, value, ok := strings.Cut(kv, "=")
		if !ok || !remote.EnvName(key) {
			return nil, &UsageError{What: fmt.Sprintf("set %.60q for the kernel: not KEY=VALUE", kv), Try: "--setenv OMP_NUM_THREADS=8"}
		}
		l.env = append(l.env, variable{key, value, true})
	}
	if w.Setup != "" {
		l.flag = "-lc"
		l.text += l.hidden("NBREMOTE_SETUP", w.Setup, `eval "$NBREMOTE_SETUP"`) + "\n"
	}
	if l.flag != "" {
		l.text += last
	}
	return l, l.check()
}

// surround does what activating the environment would.
func (l *launch) surround(env *Environment) {
	l.path = env.Prefix + "/bin"
	if strings.Contains(env.Prefix, ":") {
		l.path = ""
		l.notes = append(l.notes, "a colon in its path: PATH stays as Jupyter has it, so ! runs other programs")
	}
	switch env.Kind {
	case "conda", "pixi":
		l.set("CONDA_PREFIX", env.Prefix)
		l.set("CONDA_DEFAULT_ENV", env.Name)
		l.set("VIRTUAL_ENV", "")
		l.flag, l.text = "-c", activate
	case "python", "pyenv":
		l.set("VIRTUAL_ENV", "")
	default:
		l.set("VIRTUAL_ENV", env.Prefix)
	}
}

func (l *launch) check() error {
	all := append([]string{l.text, l.path}, l.python...)
	for _, v := range l.env {
		all = append(all, v.value)
	}
	for _, s := range all {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return &UsageError{What: fmt.Sprintf("add a kernel: %.120q is not UTF-8, which a kernelspec must be", s), Try: "rename it"}
		}
	}
	if !strings.HasPrefix(l.python[0], "/") {
		return &UsageError{What: fmt.Sprintf("add a kernel: %.120q is no absolute path", l.python[0])}
	}
	return nil
}

// pattern is what Jupyter replaces in argv, or might in another version.
var pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{[A-Za-z0-9_]+\}`) })

// hidden gives plain, or instead where Jupyter would replace something in it:
// then the variable holds it.
func (l *launch) hidden(name, plain, instead string) string {
	if !pattern().MatchString(plain) {
		return plain
	}
	l.set(name, plain)
	return instead
}

// argv is the kernelspec's, without bash around it.
func (l *launch) argv(frozen bool) []string {
	file := []string{"-f", "{connection_file}"}
	module := []string{"-m", "ipykernel_launcher"}
	if !pattern().MatchString(strings.Join(l.python, "\n")) {
		if frozen {
			module = append([]string{"-Xfrozen_modules=off"}, module...)
		}
		return slices.Concat(l.python, module, file)
	}
	text := "exec"
	for i, word := range slices.Concat(l.python, module) {
		name := fmt.Sprintf("NBREMOTE_WORD%d", i)
		if l.hidden(name, word, "") == "" {
			text += ` "$` + name + `"`
		} else {
			text += " " + quote(word)
		}
	}
	return slices.Concat([]string{"/bin/sh", "-c", text + ` "$@"`, "nbremote"}, file)
}

// variable is one of the kernel's environment.
type variable struct {
	name, value string
	refs        bool // ${NAME} in value is another variable
}

func (l *launch) set(name, value string) { l.env = append(l.env, variable{name: name, value: value}) }

var reference = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`) })

// written joins the value's parts: those which are as they stand, and references.
func (v variable) written(plain, ref func(string) string) string {
	var b strings.Builder
	rest := v.value
	for v.refs {
		at := reference().FindStringIndex(rest)
		if at == nil {
			break
		}
		b.WriteString(plain(rest[:at[0]]) + ref(rest[at[0]:at[1]]))
		rest = rest[at[1]:]
	}
	return b.String() + plain(rest)
}

// spec is for string.Template, with which Jupyter reads it.
func (v variable) spec() string {
	return v.written(
		func(s string) string { return strings.ReplaceAll(s, "$", "$$") },
		func(s string) string { return s })
}

func (v variable) shell() string {
	return v.written(quote, func(s string) string { return `"` + strings.TrimSuffix(s, "}") + `-}"` })
}
