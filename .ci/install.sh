#!/usr/bin/env bash
# install.sh PYTHON ARGUMENT...: `pip install ARGUMENT...` into the environment of PYTHON, by uv where uv is on PATH.
# uv does not read pip's configuration: where pip is told of another index or of files, and uv is not, pip installs.
set -euo pipefail
python=$1
shift

pip_has_places() {
    "$python" -m pip config list 2>/dev/null | grep --quiet --extended-regexp 'index-url|find-links|no-index'
}

uv_has_places() {
    [[ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX:-}${UV_INDEX_URL:-}${UV_EXTRA_INDEX_URL:-}${UV_FIND_LINKS:-}${UV_CONFIG_FILE:-}" ]]
}

if command -v uv >/dev/null && { uv_has_places || ! pip_has_places; }; then
    echo "Installing with $(uv --version)."
    # As pip does, take the best release of all indexes and not only those of the first that knows a name.
    exec uv pip install --python "$python" --index-strategy unsafe-best-match "$@"
fi
exec "$python" -m pip --disable-pip-version-check install "$@"
