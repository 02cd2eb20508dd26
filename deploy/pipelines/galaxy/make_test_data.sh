#!/usr/bin/env bash
# Makes test-data/ for `planemo test`: the archived bundle of small networks, and drawn cells of its three types.
#   bash deploy/pipelines/galaxy/make_test_data.sh
set -euo pipefail
cd "$(dirname "$0")/../../.."
out=deploy/pipelines/galaxy/test-data
mkdir -p "$out"
cellmark bundle export --model tests/archives/tiny --out "$out/model.tar" --force
PYTHONPATH=tests python -c "
from fixtures.synthetic_cells import draw_cells
draw_cells(seed=1).write_h5ad('$out/cells.h5ad')"
