# JupyterLab in an environment of its own. Its last file is .complete: what
# lacks it was broken off, and is made anew. An environment cannot be moved
# once made, so it is made where it stays.
session_lock z-install 0 || {
	echo "waiting for another installation"
	session_lock z-install 900 || exit 75
}
J_V=$NBR_DATA/jupyter
[ ! -e "$J_V/.complete" ] || { echo "installed already"; exit 0; }
rm -rf "$J_V"
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PYTHONUNBUFFERED=1 UV_NO_PROGRESS=1
unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONPATH PYTHONHOME VIRTUAL_ENV
if [ -n "$J_UV" ]; then
	echo "making an environment with uv"
	"$J_UV" venv -q "$J_V" 2>&1 || exit 70
	echo "downloading JupyterLab"
	"$J_UV" pip install --python "$J_V/bin/python" jupyterlab ipykernel 2>&1 || exit 71
else
	echo "making an environment with python3 -m venv"
	"$J_PYTHON" -m venv "$J_V" 2>&1 || exit 70
	echo "downloading JupyterLab"
	"$J_V/bin/python" -m pip install jupyterlab ipykernel 2>&1 || exit 71
fi
[ -x "$J_V/bin/jupyter-lab" ] || { echo "jupyter-lab is not there after all"; exit 72; }
: >"$J_V/.complete"
echo "installed"
