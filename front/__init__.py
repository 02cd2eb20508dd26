"""The front door of cellmark: `import cellmark as cm`.

`cm.train` makes a model of labelled cells in memory, `cm.load` opens one, `cm.import_celltypist` takes one over, and a
`cm.Model` annotates, explains and reports. `cm.tl`, `cm.pl` and `cm.get` do the same on an AnnData as scanpy's
functions do, and `cm.datasets` has cells to try them on. Importing this loads nothing else: neither torch, MLflow,
matplotlib nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellmark.schemas.errors import CellmarkError as CellmarkError
    from cellmark.serving.scoring.majority import ComputedClusters as ComputedClusters

    from . import datasets as datasets
    from . import get as get
    from . import pl as pl
    from . import tl as tl
    from .celltypist_model import import_celltypist as import_celltypist
    from .load_model import load as load
    from .model import Model as Model
    from .said_in_python import CellmarkWarning as CellmarkWarning
    from .train_model import train as train

    __version__: str

LATE = {
    "CellmarkError": "cellmark.schemas.errors",
    "CellmarkWarning": "cellmark.said_in_python",
    "ComputedClusters": "cellmark.serving.scoring.majority",
    "Model": "cellmark.model",
    "datasets": "",
    "get": "",
    "import_celltypist": "cellmark.celltypist_model",
    "load": "cellmark.load_model",
    "pl": "",
    "tl": "",
    "train": "cellmark.train_model",
}
"""The public names, and the module of each; nothing for one that is a module itself."""
__all__ = [
    "CellmarkError",
    "CellmarkWarning",
    "ComputedClusters",
    "Model",
    "datasets",
    "get",
    "import_celltypist",
    "load",
    "pl",
    "tl",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in LATE:
        module = LATE[name]
        return getattr(import_module(module), name) if module else import_module(f"cellmark.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("cellmark")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
