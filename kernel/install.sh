# The package manager's own command, as the person would type it.
cd -- "$I_DIR" || fail missing "enter $I_DIR"
(
	nbr_restore
	export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PYTHONUNBUFFERED=1 UV_NO_PROGRESS=1 \
		POETRY_NO_INTERACTION=1 MAMBA_NO_BANNER=1 NO_COLOR=1
	unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
	i_run 2>&1
) || exit
[ -n "$I_PREFIX" ] || exit 0
for i_p in $I_PACKAGES; do
	i_there=
	for i_d in "$I_PREFIX"/lib*/python3*/site-packages/"$i_p"; do
		[ ! -d "$i_d" ] || i_there=1
	done
	[ -n "$i_there" ] || { echo "$i_p was installed, but not into $I_PREFIX"; exit 73; }
done
