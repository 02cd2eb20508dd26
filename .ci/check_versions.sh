#!/usr/bin/env bash
# check_versions.sh: do the newer Pythons get an installation, and does what needs no torch work on one of them?
# Resolves for 3.12, 3.13 and 3.14 (wheels only, nothing but metadata is downloaded), with the newest releases that
# pyproject.toml admits; then runs tests with the newest of 3.14, 3.13 and 3.12 that is at hand, if any.
# TESTS names other tests than these, which read, check and call cells (`tests`: all that need no torch); UV names another uv.
set -euo pipefail
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}
read -ra tests <<<"${TESTS:---quick tests/schemas/cells tests/schemas/checks tests/schemas/genes tests/serving/scoring}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for version in 3.12 3.13 3.14; do
    "$UV" pip compile --quiet --only-binary :all: --python-version "$version" pyproject.toml \
        --extra cpu --extra train --extra test --output-file "$scratch/$version.txt" >/dev/null
    echo "Python $version: $(grep -c == "$scratch/$version.txt") packages," \
        "$(grep -oE '^(anndata|pandas|torch)==[^ ]*' "$scratch/$version.txt" | tr '\n' ' ')"
done

python=""
for version in 3.14 3.13 3.12; do
    for candidate in "$(command -v "python$version" || true)" ~/.pyenv/versions/"$version".*/bin/python3; do
        if [[ -z "$python" && -x "$candidate" ]] && "$candidate" -c 'pass' 2>/dev/null \
            && [[ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" == "$version" ]]; then
            python=$candidate newest=$version
        fi
    done
done
if [[ -z "$python" ]]; then
    echo "no Python 3.12, 3.13 or 3.14 at hand: the tests that need no torch were not run on one"
    exit 0
fi

# torch, and what comes with it or for it alone, are gigabytes; tests that need it skip (tests/fixtures/without_torch.py).
grep -E '^[A-Za-z0-9]' "$scratch/$newest.txt" | grep -vE '^(torch|triton|captum|playwright|cuda-.*|nvidia-[^m].*)==' \
    >"$scratch/without_torch.txt"
"$UV" venv --quiet --python "$python" "$scratch/venv"
"$UV" pip install --quiet --python "$scratch/venv/bin/python" --no-deps --only-binary :all: --requirement "$scratch/without_torch.txt"
"$UV" pip install --quiet --python "$scratch/venv/bin/python" --no-deps --editable .
echo "Tests that need no torch, on $("$python" --version):"
PATH="$scratch/venv/bin:$PATH" "$scratch/venv/bin/python" -m pytest -q -W default -p no:cacheprovider -n 2 --dist worksteal --timeout 120 --without-torch "${tests[@]}"
