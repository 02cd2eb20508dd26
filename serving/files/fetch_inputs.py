"""Inputs that were given as URLs, as files of this machine: what commands do before they open anything."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cellmark.schemas.errors import CellmarkError

from ..remote.fetch import local_input
from ..remote.urls import shown_input, url_of
from ..terminal.show import fetch_progress
from ..terminal.show_notes import show_notes
from .batch_inputs import BatchInput


def fetch_input(given: Path) -> Path:
    """The input, or a copy of what lies at its URL, with a progress bar. Raises as `local_input`."""
    if url_of(given) is None:
        return given
    with fetch_progress(shown_input(given)) as on_size:
        return local_input(given, on_size=on_size)


def fetch_inputs(inputs: Sequence[BatchInput]) -> list[BatchInput]:
    """The inputs of a batch with copies in place of URLs, which their metadata name from then on (`url`). What cannot
    be had is said, and stays under its URL: a sample without a file does not stop the others.
    """
    fetched = []
    for one in inputs:
        if url_of(one.path) is not None:
            one = replace(one, metadata={"url": shown_input(one.path), **one.metadata})
        try:
            path = fetch_input(one.path)
        except CellmarkError as error:
            show_notes(error.findings)
            path = Path(shown_input(one.path))
        fetched.append(replace(one, path=path))
    return fetched
