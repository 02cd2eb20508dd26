#!/usr/bin/env bash
# renew_constraints.sh: write constraints.txt anew (`make constraints`). Takes minutes: pip resolves without pins.
# KEEP names pins to hold on to. torch is among them by default, because its newest release may be another CUDA's.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${KEEP:=$(grep '^torch==' constraints.txt 2>/dev/null || true)}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

bash .ci/make_venv.sh "$scratch/venv"
pip=("$scratch/venv/bin/python" -m pip)
"${pip[@]}" install --quiet --upgrade pip
tr ' ' '\n' <<<"$KEEP" >"$scratch/keep.txt"
index=()
if [[ -n "${TORCH_INDEX:-}" ]]; then
    index=(--extra-index-url "$TORCH_INDEX")
fi
"${pip[@]}" install --constraint "$scratch/keep.txt" ${index[@]+"${index[@]}"} ".[cpu,train,postgres,spark,test,docs,check]"

# Resolve the GPU build beside all this without installing it: the two builds share one folder. Of what it adds only
# itself is pinned: torch's CUDA build prescribes the versions of the NVIDIA packages that both use.
"${pip[@]}" freeze --all --exclude cellmark >"$scratch/frozen.txt"
sed -e 's/+[a-z0-9.]*$//' "$scratch/frozen.txt" >"$scratch/pins.txt"
"${pip[@]}" install --quiet --dry-run --report "$scratch/gpu.json" --constraint "$scratch/pins.txt" \
    ${index[@]+"${index[@]}"} ".[gpu]"
"$scratch/venv/bin/python" - "$scratch/gpu.json" >>"$scratch/pins.txt" <<'PYTHON'
import json
import sys

for installed in json.load(open(sys.argv[1]))["install"]:
    metadata = installed["metadata"]
    if metadata["name"] == "onnxruntime-gpu":
        print(f"onnxruntime-gpu=={metadata['version']}")
PYTHON

{
    cat <<'HEADER'
# The releases that cellmark is built and tested with: pip install --constraint constraints.txt '.[cpu,train]'.
# They say which release, never what to install; so both onnxruntime builds may be named, though a machine gets one.
# pyproject.toml has the ranges that users may choose from. torch stands without a build's suffix (+cpu): the index that
# pip asks decides which build it is (see TORCH_INDEX in the Makefile).
# Renew with `make constraints`, run `make check test` afterwards, and commit the result.
HEADER
    LC_ALL=C sort --ignore-case "$scratch/pins.txt"
} >"$scratch/constraints.txt"
mv "$scratch/constraints.txt" constraints.txt
echo "Wrote constraints.txt: $(grep -c == constraints.txt) pins."
