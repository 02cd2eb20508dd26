#!/usr/bin/env bash
# make_venv.sh FOLDER: a virtual environment there, with a Python that cellmark supports; one that is there is kept.
# PYTHON names the interpreter; without it the first fitting one on PATH is taken.
set -euo pipefail
folder=$1

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null
}

if [[ -x "$folder/bin/python" ]] && fits "$folder/bin/python"; then
    exit 0
fi

chosen=""
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if fits "$candidate"; then
        chosen=$candidate
        break
    fi
done
if [[ -z "$chosen" ]]; then
    echo "cellmark needs Python 3.11 to 3.14, and ${PYTHON:-none on PATH} is not one. Name yours: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
echo "Making $folder with $("$chosen" --version)."
"$chosen" -m venv --clear "$folder"
