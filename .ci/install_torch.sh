#!/usr/bin/env bash
# install_torch.sh PYTHON: PyTorch's CPU build, where it is the one to have; otherwise nothing, and the installation that
# follows takes torch from the package index as ever.
# It is the one to have on Linux without an NVIDIA GPU, where the index's own torch brings gigabytes of CUDA, and where
# PyTorch's index of CPU builds answers within two seconds. torch alone comes from there, at the release that
# constraints.txt pins; what it needs comes from the package index.
#   TORCH_INDEX      set: this was chosen by hand, nothing is done here
#   TORCH_CPU_INDEX  another index of CPU builds than PyTorch's
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

has_gpu() {
    [[ -e /dev/nvidiactl || -e /proc/driver/nvidia/version ]] || nvidia-smi --list-gpus >/dev/null 2>&1
}

if [[ -n "${TORCH_INDEX:-}" || "$(uname -s)" != Linux ]] || has_gpu; then
    exit 0
fi
if "$python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    exit 0
fi
pin=$(grep '^torch==' constraints.txt)
# The listing of torch is asked for: an index that answers and has none is no use.
if ! timeout 2 "$python" - "${index%/}/torch/" 2>/dev/null <<'PYTHON'
import sys
import urllib.request

with urllib.request.urlopen(urllib.request.Request(sys.argv[1]), timeout=2) as answer:
    answer.read(1)
PYTHON
then
    echo "PyTorch's index of CPU builds does not answer: torch comes from the package index, with gigabytes of CUDA on most machines."
    exit 0
fi
echo "No NVIDIA GPU here: $pin comes from PyTorch's index of CPU builds, which spares you gigabytes of CUDA."
PIP_EXTRA_INDEX_URL='' PIP_FIND_LINKS='' \
    "$python" -m pip --disable-pip-version-check install --no-deps --index-url "$index" "$pin" ||
    echo "That failed: torch comes from the package index."
