package jupyter

import (
	"fmt"
	"path"
	"strings"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
)

// script is the session's run.sh: the environment as if activated, then
// Jupyter itself. It holds no token, but the way to its file.
func (w *Wish) script(port int) (string, error) {
	program, err := w.program()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`J_HERE=$PWD`)
	line(`IFS= read -r J_RUN <jupyter-run`)
	b.WriteString(remote.Compact(environ.Activate))
	line(`env_activate %s %s %s`, remote.Quote(w.Install.Kind), remote.Quote(strings.TrimPrefix(w.Install.Name, "conda ")), remote.Quote(w.Install.Prefix))
	for _, kv := range w.Setenv {
		key, value, _ := strings.Cut(kv, "=")
		line("export %s=%s", key, remote.Quote(value))
	}
	line(`unset JUPYTER_TOKEN JUPYTER_TOKEN_FILE JUPYTER_PORT JUPYTER_PORT_RETRIES JUPYTER_NO_CONFIG JUPYTER_SERVER_ROOT JUPYTER_SERVER_URL`)
	line(`export JUPYTER_RUNTIME_DIR="$J_RUN" NBREMOTE_CONFIG_DIR="$J_RUN/c" NBREMOTE_TOKEN_FILE="$J_HERE/jupyter-token" NBREMOTE_PORT=%d`, port)
	line(`export JUPYTER_CONFIG_PATH="$J_RUN/c${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"`)
	if !w.TCP {
		line(`export NBREMOTE_SOCK="$J_RUN/s"`)
	}
	if w.Relay {
		line(`export NBREMOTE_RELAY=1`)
	}
	line(`cd -- %s || { echo %s; exit 66; }`, remote.Quote(w.Dir), remote.Quote("nbremote: cannot enter "+w.Dir))
	argv := []string{remote.Quote(program), "--no-browser"}
	for _, arg := range w.Args {
		argv = append(argv, remote.Quote(arg))
	}
	line(`set -- %s`, strings.Join(argv, " "))
	line(`if env_hooks; then set -- bash -c "$ENV_HOOKS" nbremote "$@"; fi`)
	line(`exec "$@"`)
	return b.String(), nil
}

// program is the one for the user interface.
func (w *Wish) program() (string, error) {
	if !w.Install.has(w.UI) {
		return "", &MissingError{
			What: fmt.Sprintf("find jupyter-%s in %s: not installed there", w.UI, w.Install.Name),
			Try:  w.Install.Python + " -m pip install " + map[string]string{"lab": "jupyterlab", "notebook": "notebook", "server": "jupyter_server"}[w.UI],
		}
	}
	return path.Join(w.Install.Prefix, "bin", "jupyter-"+w.UI), nil
}
