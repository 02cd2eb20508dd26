"""How the cells of an input are to be read, whichever door they come through."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, get_args

from ..errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

InputKind = Literal["auto", "counts", "log1p"]
LibrarySizeSource = Literal["given", "summed", "not known: normalised input"]
NOT_KNOWN: LibrarySizeSource = "not known: normalised input"
"""What is said of depth where it was divided out, and of all that is computed from it."""


class ReadingKeywords(TypedDict, total=False):
    """The fields of `ReadingOptions`, as keywords of `Annotator`'s methods."""

    layer: str | None
    library_size: "str | np.ndarray | pd.Series | None"
    genes_by_cells: bool
    recover_counts: bool
    input: InputKind
    orthologs: bool
    ortholog_table: "str | Path | None"
    symbol_column: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadingOptions:
    """`layer`: where the raw counts are: None for `X`, `raw` for `raw.X`, else a layer's name (`.h5ad`, `.zarr`).
    `genes_by_cells`: whether a table has genes as rows. `recover_counts`: compute the counts that normalised values
    were made of. `library_size`: name of an `obs` column with each cell's total count over all genes, an array [cells],
    or None to sum over the input's genes. `input`: what the values are, `auto` to see whether they prove to be
    ln(1 + counts per 10,000). `orthologs`: name the genes of human or mouse cells by their one-to-one orthologs in the
    other, for a model of that; `ortholog_table`: do so by a table of one's own. `symbol_column`: column of `var` that
    names the genes, None for `var_names`, helped by columns of known names. All but `layer`, `genes_by_cells` and
    `recover_counts` are looked at once the cells are open. Raises `ParameterError` for another `input`, and for a
    `log1p` of which counts are to be recovered.
    """

    layer: str | None = None
    library_size: "str | np.ndarray | pd.Series | None" = None
    genes_by_cells: bool = False
    recover_counts: bool = False
    input: InputKind = "auto"
    orthologs: bool = False
    ortholog_table: "str | Path | None" = None
    symbol_column: str | None = None

    def __post_init__(self) -> None:
        if self.input not in get_args(InputKind):
            raise ParameterError.not_a_choice("input", choices="auto, counts or log1p", found=repr(self.input))
        if self.recover_counts and self.input == "log1p":
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="input",
                expected="auto or counts where counts are recovered",
                found="log1p with recover_counts",
                remedy="Omit --recover-counts (recover_counts) to use the values as they are, or --input (input).",
            )

    def for_opening(self) -> dict[str, Any]:
        """What opening a file needs, as plain values."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in ONCE_OPEN}

    def once_open(self) -> Self:
        """What is left of it for cells that were opened by it."""
        return type(self)(**{name: getattr(self, name) for name in ONCE_OPEN})


ONCE_OPEN = ("library_size", "input", "orthologs", "ortholog_table", "symbol_column")
AS_IT_IS = ReadingOptions()
"""`X`, cells as rows, library sizes summed."""
