"""Makes the archived bundle `tiny`, with all that a training writes today: `python tests/archives/make_tiny.py`.

Tests that need a bundle and not a training use it. It may be made again at any time, unlike `v1`; the same cells, seed
and releases give the same graphs.
"""

import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cellmark.training.config import TrainingConfig  # noqa: E402
from cellmark.training.network.classifier import NetworkShape  # noqa: E402
from cellmark.training.network.fit import FitSettings  # noqa: E402
from cellmark.training.run import train  # noqa: E402
from fixtures.quiet_listener import QuietListener  # noqa: E402
from fixtures.synthetic_cells import draw_cells  # noqa: E402


def main() -> None:
    folder = HERE / "tiny"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "tiny.h5ad"
        draw_cells().write_h5ad(data)
        fit = FitSettings(shape=NetworkShape((16, 8)), max_epochs=40, learning_rate=5e-3)
        train(TrainingConfig(data=data, name="tiny", n_members=2, fit=fit), folder, QuietListener())


if __name__ == "__main__":
    main()
