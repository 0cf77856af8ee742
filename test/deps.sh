#!/bin/sh
# What the tests use besides Go: `deps.sh install` as root puts it there,
# `deps.sh check` does so in a container or CI and else says what to type.
# Nothing is done twice: the stamp holds what was installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=/opt/nbremote-test
stamp=$top/stamp
packages='openssh-server tmux chromium iproute2 zsh fish tcsh python3-venv fonts-dejavu-core'

wanted() { cat "$here/deps.sh" "$here/requirements.txt" | cksum; }

present() {
	[ -r "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] || return 1
	[ -x $top/jupyter/bin/jupyter-lab ] || return 1
	for program in /usr/sbin/sshd tmux chromium ip zsh fish tcsh; do
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
	if ! $top/jupyter/bin/python -c '' 2>/dev/null; then
		rm -rf $top/jupyter
		/usr/bin/python3 -m venv $top/jupyter
	fi
	$top/jupyter/bin/python -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"
	$top/jupyter/bin/python -m compileall -q $top/jupyter/lib || :
	chmod -R a+rX $top
)

install() {
	if present; then return 0; fi
	if [ "$(id -u)" != 0 ]; then
		echo 'make deps: needs root: sudo make deps' >&2
		exit 1
	fi
	if ! command -v apt-get >/dev/null; then
		echo "make deps: knows Debian and Ubuntu only; elsewhere install: $packages" >&2
		exit 1
	fi
	debian
	jupyter
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
