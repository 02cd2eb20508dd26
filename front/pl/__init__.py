"""Pictures, as scanpy has them: `cm.pl`. Each draws on `ax`, or on a new figure, and returns the axes.

They need matplotlib (extra `plot`), which is imported when something is drawn. Colours of types are those that scanpy
has in `uns`; `cm.tl.annotate` writes them.
"""

from .composition import composition
from .confidence import confidence
from .confusion import confusion
from .drift import drift
from .evidence import evidence
from .markers import markers

__all__ = ["composition", "confidence", "confusion", "drift", "evidence", "markers"]
