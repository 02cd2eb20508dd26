#!/usr/bin/env bash
# install_serving.sh FOLDER [EXTRA]: the environment of a serving machine in FOLDER, from the one wheel in dist/.
# EXTRA is cpu (default) or gpu, with ,jobs ,postgres ,tracing behind it as needed (extras of pyproject.toml).
# The Dockerfile builds its image with this, and CI its second environment.
# PYTHON names the interpreter (default: python3). Nothing here may need more than Python and a package index.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
extra=${2:-cpu}
if [[ ! $extra =~ ^(cpu|gpu)(,(jobs|postgres|tracing))*$ ]]; then
    echo "EXTRA is cpu or gpu, and ,jobs ,postgres ,tracing behind it as needed, not '$extra'" >&2
    exit 2
fi
shopt -s nullglob
wheels=(dist/cellmark-*.whl)
if [[ ${#wheels[@]} -ne 1 ]]; then
    echo "dist/ should hold one wheel of cellmark and holds ${#wheels[@]}; make build" >&2
    exit 2
fi

"${PYTHON:-python3}" -m venv --clear "$folder"
pip=("$folder/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install --quiet --upgrade --constraint constraints.txt pip
"${pip[@]}" install --constraint constraints.txt "${wheels[0]}[$extra]"
"${pip[@]}" check
# A server installs nothing more.
"${pip[@]}" uninstall --quiet --yes setuptools pip
