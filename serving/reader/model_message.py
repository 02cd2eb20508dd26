"""`ImportedModel` as a message of a reader: packed, and checked when it comes, since the reader may be damaged."""

import numpy as np
import pandas as pd

from cellmark.schemas.imported_model import ImportedModel

from .reader_messages import BrokenMessageError, Message, is_count, pack_text, unpack_text

MOST_DESCRIBED, LONGEST = 20, 4000


def pack_model(model: ImportedModel) -> Message:
    names = [pack_text(pd.Series(list(texts), dtype=object)) for texts in (model.gene_symbols, model.cell_types)]
    facts = {
        "centred": model.centred,
        "n_cells": model.n_cells,
        "classifier": model.classifier,
        "description": dict(model.description),
    }
    numbers = (model.mean, model.scale, model.weights, model.intercepts)
    return Message(facts, (*names[0], *names[1], *numbers))


def unpack_model(message: Message) -> ImportedModel:
    """Raises `BrokenMessageError` unless all its parts fit together and its numbers are finite."""
    arrays = list(message.arrays)
    genes, cell_types = ([str(name) for name in unpack_text(arrays) if name is not None] for _ in range(2))
    if len(arrays) != 4 or any(array.dtype != np.float64 or not np.isfinite(array).all() for array in arrays):
        raise BrokenMessageError("a model without its numbers")
    mean, scale, weights, intercepts = arrays
    n_genes, n_types = len(genes), len(cell_types)
    if [one.size for one in arrays] != [n_genes, n_genes, n_types * n_genes, n_types] or not (scale > 0).all():
        raise BrokenMessageError("a model whose parts do not fit")
    if n_types < 2 or n_genes == 0 or len(set(genes)) < n_genes or len({*cell_types, ""}) != n_types + 1:
        raise BrokenMessageError("a model without names for its types and genes")
    facts, described = message.facts, message.facts.get("description")
    n_cells, classifier = facts.get("n_cells"), facts.get("classifier")
    if not isinstance(described, dict) or len(described) > MOST_DESCRIBED or not isinstance(classifier, str):
        raise BrokenMessageError("a model without a description")
    if not (n_cells is None or is_count(n_cells)) or not isinstance(facts.get("centred"), bool):
        raise BrokenMessageError("a model without its facts")
    return ImportedModel(
        tuple(genes),
        tuple(cell_types),
        mean,
        scale,
        weights.reshape(n_types, n_genes),
        intercepts,
        centred=facts["centred"],
        n_cells=n_cells,
        classifier=classifier[:LONGEST],
        description={str(name)[:LONGEST]: str(text)[:LONGEST] for name, text in described.items()},
    )
