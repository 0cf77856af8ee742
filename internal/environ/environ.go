// Package environ is how Python environments are found on a host: text for
// scripts of other packages, which put it behind remote.Prelude. What an
// environment is good for is theirs to see.
package environ

import _ "embed"

// Lib defines these sh functions. None starts Python, reads an rc file or
// prints. CALL is the name of a function, called with KIND NAME PREFIX for
// each candidate: whether anything is there it sees for itself. ENV_HOME must
// be set to the home.
//
//	env_base PATH                    set ENV_BASE to its last part
//	env_real PREFIX                  set ENV_REAL to where it is, and ENV_OLD if that stands in ENV_SEEN; status 1: no such directory
//	env_seen                         put ENV_REAL into ENV_SEEN
//	env_in CALL KIND NAME FOLDER     each directory in a folder; NAME goes before its own
//	env_project CALL DIR             .venv, venv and env, kind project; ~/.venv is none
//	env_kind DIR PREFIX              set ENV_KIND to what keeps a project's environment: uv, poetry, pixi or venv
//	env_roots CALL                   each conda root, as the only argument
//	env_condas CALL                  conda roots, named "conda base", and environments
//	env_venvs CALL                   those in the folders where they are kept
//	env_pyenv CALL NAME              what pyenv has; NAME goes before its own
//
// ENV_CUT is 1 after a folder had more than 1000 directories.
//
//go:embed environ.sh
var Lib string

// Login defines this sh function; nap is one of remote.Prelude.
//
//	env_login_path FILE    set ENV_PATH to what PATH is in a login shell, which writes it to FILE; status 1: it did not say
//
//go:embed login.sh
var Login string

// Activate defines these sh functions. They change the shell that calls them.
//
//	env_activate KIND NAME PREFIX    what activating the environment would set
//	env_hooks                        set ENV_HOOKS to what bash does before "$@" in a conda environment; status 1: nothing
//
//go:embed activate.sh
var Activate string

// Python3 sets NBR_OLD to the python3 on PATH, and NBR_PY to it unless it says in
// its name that it is too old for the relay; "" = there is none.
const Python3 = "NBR_PY=$(command -v python3)\nNBR_OLD=$NBR_PY\ncase $(readlink -f \"$NBR_PY\" 2>/dev/null) in *python3.[0-7]) NBR_PY= ;; esac\n"

// Python defines this sh function, for where NBR_PY is "". It needs Lib and Login,
// and NBR_DATA.
//
//	nbr_seek FILE    set NBR_PYTHON to one of an environment that will do for the relay, else to NBR_OLD; FILE is for env_login_path, and gone after it
//
//go:embed python.sh
var Python string
