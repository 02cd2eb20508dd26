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


class MapAnswer(AnnotateAnswer):
    """As the answer of `/annotate`, and where the cells lie on a map. `map`: null for a model without an embedding and
    for more cells than a map has. `rows`: null unless asked for, and for too many values. `library_size_columns`:
    columns of `obs` that may hold library sizes, the likeliest first.
    """

    map: CellMapAnswer | None
    rows: RowsAnswer | None
    library_size_columns: list[str]
