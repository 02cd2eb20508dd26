"""A model that CellTypist wrote, taken apart into arrays; neither CellTypist nor scikit-learn is imported.

CellTypist pickles a dictionary of a classifier, a scaler and a description. What it does with them
(`celltypist/classifier.py` and `models.py` of version 1.7): expression is standardised by the scaler, values above 10
become 10, the classifier's linear function gives a score for each type, and the sigmoid of it a probability. Genes
that the cells lack are left out of all of them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from cellmark.schemas.errors import ReadError
from cellmark.schemas.imported_model import ImportedModel

from .inert_pickle import Standin, load_inert, read_array, read_number, read_texts, unreadable

EXPECTED = "a model that CellTypist wrote (.pkl)"
CLASSIFIERS = {
    f"sklearn.linear_model.{module}.{name}"
    for name, modules in (
        ("LogisticRegression", ("_logistic", "logistic")),
        ("SGDClassifier", ("_stochastic_gradient", "stochastic_gradient")),
    )
    for module in modules
}
SCALERS = {"sklearn.preprocessing._data.StandardScaler", "sklearn.preprocessing.data.StandardScaler"}
LOSSES = {
    "_loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn.linear_model._sgd_fast.Log",
    "sklearn.linear_model.sgd_fast.Log",
}
"""What classifiers fitted by gradient descent keep of their training; it is not looked at."""
MODEL = "celltypist.models.Model"
KNOWN = frozenset({*CLASSIFIERS, *SCALERS, *LOSSES, MODEL})
"""All names, beside NumPy's, that the file may hold. Each is stood in for, and none imported."""
LARGEST = 1024**3
"""Bytes; the largest models that CellTypist publishes take less than a tenth of this."""
DESCRIBED = ("date", "details", "url", "source", "version")
LONGEST_DESCRIPTION = 2000


def read_celltypist(path: Path) -> ImportedModel:
    """The arrays of a model, without its file's digest.

    Raises `ReadError`: `PICKLE_REFUSED` and `FILE_UNREADABLE` as `load_inert`, `INPUT_TOO_LARGE`, and
    `IMPORT_INVALID` for a pickle that is no such model.
    """
    if path.stat().st_size > LARGEST:
        raise ReadError.of(
            "INPUT_TOO_LARGE",
            where=str(path),
            expected=f"at most {LARGEST / 1024**2:,.0f} MiB",
            found=f"{path.stat().st_size / 1024**2:,.0f} MiB",
            remedy="Train it on fewer genes: celltypist.train(..., feature_selection=True).",
        )
    loaded = load_inert(path, KNOWN, expected=EXPECTED)
    if (
        isinstance(loaded, Standin) and loaded.global_name == MODEL
    ):  # the object itself, pickled without its own `write`
        parts = [loaded.fields.get(name) for name in ("classifier", "scaler", "description")]
    elif isinstance(loaded, dict):
        parts = [loaded.get(name) for name in ("Model", "Scaler_", "description")]
    else:
        raise _invalid(path, "a classifier with its scaler", f"a pickle of a {type(loaded).__name__}")
    try:
        return _model(path, *parts)
    except ValueError as error:
        raise unreadable(path, EXPECTED, str(error)) from error


def _model(path: Path, classifier: Any, scaler: Any, description: Any) -> ImportedModel:
    if not isinstance(classifier, Standin) or classifier.global_name not in CLASSIFIERS:
        raise _invalid(path, "logistic regression or SGDClassifier as its classifier", _named(classifier))
    if not isinstance(scaler, Standin) or scaler.global_name not in SCALERS:
        raise _invalid(path, "a StandardScaler", _named(scaler))
    for of, names in ((classifier, ("features", "classes_", "coef_", "intercept_")), (scaler, ("scale_",))):
        if missing := [name for name in names if not isinstance(of.fields.get(name), Standin)]:
            raise _invalid(path, f"a {_named(of)} that was fitted", f"one without {', '.join(missing)}")
    genes, cell_types = (read_texts(classifier.fields[name]) for name in ("features", "classes_"))
    weights, intercepts = (_numbers(classifier.fields[name]) for name in ("coef_", "intercept_"))
    if len(cell_types) == 2 and weights.shape[:1] == (1,):  # one score, of the second type against the first
        weights, intercepts = np.vstack([-weights, weights]), np.concatenate([-intercepts, intercepts])
    scale = _numbers(scaler.fields["scale_"])
    centred = scaler.fields.get("with_mean") is not False
    has_mean = isinstance(scaler.fields.get("mean_"), Standin)
    if centred and not has_mean:
        raise _invalid(path, "a StandardScaler that was fitted", "one without mean_")
    mean = _numbers(scaler.fields["mean_"]) if has_mean else np.zeros(len(genes))
    shapes = {"coef_": weights.shape, "intercept_": intercepts.shape, "mean_": mean.shape, "scale_": scale.shape}
    n_types, n_genes = len(cell_types), len(genes)
    fitting = {"coef_": (n_types, n_genes), "intercept_": (n_types,), "mean_": (n_genes,), "scale_": (n_genes,)}
    if odd := [name for name, shape in shapes.items() if shape != fitting[name]]:
        sizes = ", ".join(f"{name} of {' x '.join(map(str, shapes[name]))}" for name in odd)
        raise _invalid(path, f"arrays for {n_types} types and {n_genes} genes", sizes)
    if n_types < 2 or n_genes == 0:
        raise _invalid(path, "at least two types and a gene", f"{n_types} types and {n_genes} genes")
    _check_names(path, genes, "genes")
    _check_names(path, cell_types, "cell types")
    if not all(np.isfinite(values).all() for values in (weights, intercepts, mean, scale)) or not (scale > 0).all():
        raise _invalid(path, "finite numbers, and scales above 0", "others")
    n_cells = read_number(scaler.fields.get("n_samples_seen_"))
    return ImportedModel(
        genes,
        cell_types,
        mean,
        scale,
        weights,
        intercepts,
        centred=centred,
        n_cells=int(n_cells) if n_cells is not None and 0 < n_cells < 2**53 else None,
        classifier=_named(classifier),
        description=_described(description),
    )


def _numbers(value: Any) -> np.ndarray:
    array = read_array(value)
    if array.dtype.kind not in "fiu":
        raise ValueError("coefficients that are no numbers")
    return array.astype(np.float64)


def _named(value: Any) -> str:
    """What something is, in a word: the class that a stand-in stands for."""
    return value.global_name.rpartition(".")[2] if isinstance(value, Standin) else type(value).__name__


def _check_names(path: Path, names: tuple[str, ...], what: str) -> None:
    seen: set[str] = set()
    repeated = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if repeated or "" in seen:
        some = ", ".join(repr(name) for name in dict.fromkeys(repeated or [""]))
        raise _invalid(path, f"{what} with a name each, no two the same", f"others, such as {some[:200]}")


def _described(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    texts = {name: value.get(name) for name in DESCRIBED}
    return {name: text[:LONGEST_DESCRIPTION] for name, text in texts.items() if isinstance(text, str) and text}


def _invalid(path: Path, expected: str, found: str) -> ReadError:
    return ReadError.of(
        "IMPORT_INVALID",
        where=str(path),
        expected=expected,
        found=found,
        remedy="Give the .pkl that CellTypist's Model.write or its download made.",
    )
