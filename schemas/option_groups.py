"""What a command takes as one object, the command line gives as one option for each of the object's fields.

Options that commands of both worlds have read the same in both: their flags and texts stand here, without the library
of the command line, which `shared` is handed.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

Command = Callable[..., None]
SHARED = {
    "layer": ("--layer", None, "Layer that holds the raw counts, or raw for adata.raw. Default: X."),
    "library_size": (
        "--library-size",
        "OBS_COLUMN",
        "Column of obs with each cell's total count over all genes. Default: sum over the input's genes.",
    ),
    "genes_by_cells": ("--genes-by-cells", None, "Read a table with genes as rows and cells as columns."),
    "input": (
        "--input",
        None,
        "What the values are: counts, or log1p for ln(1 + counts per 10,000). auto takes values as log1p where they "
        "prove it in every cell.",
    ),
    "max_unknown_share": (
        "--max-unknown-share",
        None,
        "Largest share (0 to 1) of all counts that may be of names which no human or mouse gene table has. 1 turns the "
        "limit off. Default: 0.25.",
    ),
    "force": ("--force", None, "Overwrite an output that already exists."),
    "json_output": ("--json", None, "Print the results as one JSON document."),
}
"""Flag, word for the value and help."""
PANELS = {"genes_by_cells": "Reading cells", "input": "Reading cells", "max_unknown_share": "Genes"}
"""Panel of an advanced option: `--help` names it, `--help-all` explains it."""


def shared(option: Callable[..., Any], name: str, **more: Any) -> Any:
    """The option `name` of `SHARED`, made by `option` (`typer.Option`) with `more` settings."""
    flag, metavar, text = SHARED[name]
    return option(flag, metavar=metavar, help=text, rich_help_panel=PANELS.get(name), **more)


def takes(groups: Mapping[str, tuple[type, Mapping[str, Any]]]) -> Callable[[Command], Command]:
    """For commands whose parameters named in `groups` become options.

    `groups`: by parameter, the object's class and the annotation of each option by field; its default is the field's.
    """

    def decorate(command: Command) -> Command:
        parameters: list[inspect.Parameter] = []
        for name, one in inspect.signature(command).parameters.items():
            kind, options = groups.get(name, (None, {}))
            defaults = {} if kind is None else {entry.name: entry.default for entry in fields(kind)}
            replaced = [one.replace(name=o, annotation=shown, default=defaults[o]) for o, shown in options.items()]
            parameters += replaced or [one]
        used = [name for name in inspect.signature(command).parameters if name in groups]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for name in used:
                kind, options = groups[name]
                given[name] = kind(**{field: given.pop(field) for field in options if field in given})
            command(**given)

        return signed(run, parameters)

    return decorate


def signed(command: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    """`command`, which takes keywords, with the parameters that its command line shows."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command
