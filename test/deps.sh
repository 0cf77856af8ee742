#!/bin/sh
# What the tests use besides Go: `deps.sh install` as root puts it there,
# `deps.sh check` does so in a container or CI and else says what to type.
# Nothing is done twice: the stamp holds what was installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=${NBREMOTE_TEST_TOP:-/opt/nbremote-test} # elsewhere only to try this script
stamp=$top/stamp
packages='openssh-server tmux chromium firefox-esr curl iproute2 procps ncurses-bin python3-venv fonts-dejavu-core
	zsh fish tcsh mksh yash ksh93u+m gcc libc6-dev libssl-dev softhsm2 krb5-kdc krb5-admin-server krb5-user dropbear-bin'
old='2.7 1.23' # Jupyter servers of other years; the second has notebook 6 too

wanted() { cat "$here/deps.sh" "$here"/requirements*.txt "$here/tools.txt" | cksum; }

present() {
	[ -r "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] || return 1
	[ -x $top/jupyter/bin/jupyter-lab ] && [ -x $top/tools/bin/uv ] && [ -d $top/wheels ] || return 1
	[ -d $top/vscode/node_modules ] && [ -e /usr/include/openssl/evp.h ] || return 1
	[ -x $top/jupyterhub/bin/jupyterhub ] && [ -x $top/jupyterhub/node_modules/.bin/configurable-http-proxy ] || return 1
	for version in $old; do
		[ -x $top/jupyter-$version/bin/jupyter-server ] || return 1
	done
	for program in /usr/sbin/sshd tmux chromium firefox-esr curl ip ps infocmp node zsh fish tcsh mksh yash ksh busybox softhsm2-util /usr/sbin/krb5kdc /usr/sbin/kadmin.local kinit /usr/sbin/dropbear cc; do
		command -v $program >/dev/null || return 1
	done
}

# A package must not start its server on this machine; whoever had a policy
# of their own gets it back.
policy=/usr/sbin/policy-rc.d
quiet() {
	if [ -e $policy ] || [ -L $policy ]; then mv $policy $policy.nbremote; fi
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
}
loud() {
	rm -f $policy
	if [ -e $policy.nbremote ] || [ -L $policy.nbremote ]; then mv $policy.nbremote $policy; fi
}

debian() {
	missing=
	for package in $packages; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	# Whoever has npm or busybox from elsewhere keeps it: the two exclude each other.
	command -v npm >/dev/null || missing="$missing nodejs npm"
	command -v busybox >/dev/null || missing="$missing busybox"
	[ -n "$missing" ] || return 0
	trap loud EXIT
	trap 'exit 130' INT TERM HUP
	quiet
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null
	loud
	trap - EXIT INT TERM HUP
}

# Everybody may read it: the accounts of the test hosts run it.
jupyter() (
	umask 022
	mkdir -p $top
	environment $top/jupyter "$here/requirements.txt"
	for version in $old; do
		environment $top/jupyter-$version "$here/requirements-$version.txt"
	done
	hub
	for lib in $top/jupyter*/lib; do
		$top/jupyter/bin/python -m compileall -q $lib || :
	done
	chmod -R a+rX $top
)

# JupyterHub beside our JupyterLab, which its users' servers are.
hub() (
	lib=lib/python$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')/site-packages
	if ! [ -e $top/jupyterhub/$lib/lab.pth ]; then
		rm -rf $top/jupyterhub
		/usr/bin/python3 -m venv $top/jupyterhub
		echo $top/jupyter/$lib >$top/jupyterhub/$lib/lab.pth
	fi
	environment $top/jupyterhub "$here/requirements-hub.txt"
	cd $top/jupyterhub
	package configurable-http-proxy@4.6.3
)

# The parts of VS Code that read tasks.json, for vscode.mjs.
vscode() (
	umask 022
	mkdir -p $top/vscode
	cd $top/vscode
	package @codingame/monaco-vscode-task-service-override@37.6.1
)

# Into the working directory.
package() {
	[ -e package.json ] || echo '{"private": true}' >package.json
	npm install --loglevel=error --ignore-scripts --no-audit --no-fund --save-exact "$1"
}

environment() {
	if ! $1/bin/python -c '' 2>/dev/null; then
		rm -rf "$1"
		/usr/bin/python3 -m venv "$1"
	fi
	"$1/bin/python" -m pip install -q --disable-pip-version-check -r "$2"
}

wheels() {
	$top/jupyter/bin/python -m pip download -q --disable-pip-version-check --only-binary :all: -d $top/wheels "$@"
}

# What manages environments, and what it is to install: the test hosts have no
# network. An old ipykernel too, for environments that nobody touched for years.
tools() (
	umask 022
	environment $top/tools "$here/tools.txt"
	rm -rf $top/wheels
	mkdir $top/wheels
	wheels $(grep '^ipykernel==' "$here/requirements.txt") -c "$here/requirements.txt"
	wheels ipykernel==5.5.6 ipython==8.12.3 jupyter_client==7.4.9
	# What the tools ask for because their lock files are for every system.
	wheels --no-deps appnope colorama cffi pycparser
	wheels --no-deps --platform win_amd64 pywin32
	chmod -R a+rX $top/tools $top/wheels
)

install() {
	if present; then return 0; fi
	if [ "$(id -u)" != 0 ]; then
		echo 'make deps: needs root: sudo make deps' >&2
		exit 1
	fi
	if ! command -v apt-get >/dev/null; then
		echo "make deps: knows Debian and Ubuntu only; elsewhere install: $packages busybox nodejs npm" >&2
		exit 1
	fi
	debian
	jupyter
	vscode
	tools
	wanted >$stamp
}

disposable() {
	[ "$(id -u)" = 0 ] || return 1
	[ "${CI:-}" = true ] || [ -n "${container:-}" ] || [ -e /.dockerenv ] || [ -e /run/.containerenv ]
}

check() {
	if disposable; then install; return; fi
	present || echo 'some tests will be skipped; for all of them: sudo make deps'
}

case ${1:-} in
install) install ;;
check) check ;;
*) echo 'usage: deps.sh install|check' >&2; exit 2 ;;
esac
