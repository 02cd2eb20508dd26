"""The four folders of cellmark as import-linter finds them: put together by the links in `cellmark` beside this file.

It looks for a package in one folder, and ours is mapped by pyproject.toml. The section `contract_types` there has this
module imported before any package is looked for.
"""

import sys
from pathlib import Path

from importlinter.contracts.layers import LayersContract

__all__ = ["LayersContract"]

sys.path.insert(0, str(Path(__file__).resolve().parent))
