"""What `POST /map` answers, as models."""

from .responses import AnnotateAnswer, Answer


class CellMapAnswer(Answer):
    """Where the cells lie. `plane`: the first two principal components of the model's embedding, one pair a cell;
    `explained`: the share of the variance that each has; `embedding`: itself, null for very many cells.
    """

    plane: list[tuple[float, float]]
    explained: tuple[float, float]
    embedding: list[list[float]] | None


class RowsAnswer(Answer):
    """Values of the model's genes that the input measured, cells x `genes`, in CSR form: some of these rows with their
    `cell_id`s are a JSON body. Without `library_sizes` they are ln(1 + counts per 10,000), and the last of `genes`
    stands for all others: ask with `input=log1p` and `max_unknown_share=1`.
    """

    genes: list[str]
    indptr: list[int]
    indices: list[int]
    data: list[float]
    library_sizes: list[float] | None


class OwnMapAnswer(Answer):
    """A map that the file brings. `name`: in `obsm`. `places`: its first two columns, one pair a cell."""

    name: str
    places: list[tuple[float, float]]


class OwnGroupsAnswer(Answer):
    """A column of the file's `obs` that divides the cells. `codes`: of each cell its number among `groups`, -1 for
    none.
    """

    name: str
    groups: list[str]
    codes: list[int]


class MapAnswer(AnnotateAnswer):
    """As the answer of `/annotate`, and where the cells lie on a map. `map`: null for a model without an embedding and
    for more cells than a map has. `rows`: null unless asked for, and for too many values. `library_size_columns`:
    columns of `obs` that may hold library sizes, the likeliest first. `own_maps`, `own_groups`: empty unless
    `own=true`.
    """

    map: CellMapAnswer | None
    rows: RowsAnswer | None
    library_size_columns: list[str]
    own_maps: list[OwnMapAnswer]
    own_groups: list[OwnGroupsAnswer]
