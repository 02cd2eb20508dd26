"""What a model is: name, types, genes, measures, and how it is shown; its graphs are loaded when they are used."""

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellmark.schemas.bundle import Bundle
    from cellmark.serving.annotator import Annotator
    from cellmark.serving.models.model_source import ModelSource


class ModelFacts:
    """A verified bundle and its name.

    `source`: both of them. `loading`: keywords of `Annotator` and its session, used when the first cells are called.
    `scratch`: a temporary folder that the bundle lies in, which goes with the model.
    """

    def __init__(
        self, source: "ModelSource", *, scratch: "TemporaryDirectory[str] | None" = None, **loading: Any
    ) -> None:
        self._source, self._scratch, self._loading = source, scratch, loading

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._source.name

    @property
    def version(self) -> str | None:
        """Its version in the registry; None for one from a folder."""
        return self._source.version

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.bundle.folder

    @property
    def bundle(self) -> "Bundle":
        """Its verified files."""
        return self._source.bundle

    @property
    def digest(self) -> str:
        """SHA-256 of all that the model is."""
        return self.bundle.digest

    @property
    def types(self) -> list[str]:
        """The cell types that it knows, in its order.

        Examples
        --------
        >>> model.types
        ['B cell', 'NK cell', 'T cell']
        """
        return self.bundle.manifest.cell_type_names

    @property
    def genes(self) -> list[str]:
        """The genes that it reads, in its order.

        Examples
        --------
        >>> len(model.genes)
        92
        """
        return list(self.bundle.panel.symbols)

    @property
    def metrics(self) -> dict[str, Any]:
        """Its measures by part: `test` (cells that it never saw), `independent`, and `validation` (called
        by networks of the folds where the model learned these cells too).

        Examples
        --------
        >>> model.metrics["test"]["accuracy"]
        1.0
        """
        return dict(self.bundle.manifest.metrics)

    @cached_property
    def annotator(self) -> "Annotator":
        """The loaded, self-tested graphs."""
        from cellmark.serving.annotator import Annotator
        from cellmark.serving.scoring.session import ModelSession

        given = dict(self._loading)
        session = {name: given.pop(name) for name in ("device", "threads", "distilled") if name in given}
        return Annotator(self._source, ModelSession(self.bundle, **session), **given)

    def __repr__(self) -> str:
        from .model_page import model_lines

        return "\n  ".join(model_lines(self))

    def _repr_html_(self) -> str:
        from .model_page import model_table

        return model_table(self)
