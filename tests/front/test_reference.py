"""The reference has every public name, and its own examples run."""

import doctest
import inspect
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import anndata as ad
import pytest
from starlette.testclient import TestClient

import cellmark as cm
from cellmark import serving
from cellmark.drift import Drift
from cellmark.schemas import errors
from cellmark.serving import Annotator, Client
from cellmark.serving.app import make_app
from cellmark.serving.client import client as client_module
from cellmark.serving.client.connection import open_http
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"^\.\. auto(?:function|class|exception):: ([\w.]+)(?:\(\))?$", PAGE, flags=re.MULTILINE))
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
IN_SERVING = {"ComputedClusters"}
"""Names of `cellmark.serving` that the front door has too."""


def public() -> Iterator[str]:
    """Every public name, as the page has to call it."""
    for name in cm.__all__:
        value = getattr(cm, name)
        if not inspect.ismodule(value):
            yield f"cellmark.{name}"
            continue
        for function, own in vars(value).items():
            if inspect.isfunction(own) and own.__module__.startswith(value.__name__) and function[0] != "_":
                yield f"{value.__name__}.{function}"
    yield "cellmark.drift.Drift"
    yield from (f"cellmark.serving.{name}" for name in serving.__all__ if name not in IN_SERVING)
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.CellmarkError) and value is not errors.CellmarkError:
            yield f"cellmark.schemas.errors.{name}"


def test_every_public_name_is_in_the_reference_and_no_other() -> None:
    assert set(public()) == NAMED


@pytest.mark.parametrize("kind", [cm.Model, Drift, Annotator, Client])
def test_every_attribute_says_what_it_is(kind: type) -> None:
    """Sphinx leaves out what has no docstring."""
    names = [name for name in dir(kind) if name[0] != "_"]
    assert len(names) > 3
    assert [name for name in names if not inspect.getattr_static(kind, name).__doc__] == []


@pytest.mark.parametrize(("kind", "name"), [(Annotator, "annotator"), (Client, "client")])
def test_every_method_is_in_an_example(kind: type, name: str) -> None:
    """`call` of a client takes what is inside of it, and `with` closes it."""
    used = set(re.findall(rf"\b(?:{name}|{kind.__name__})\.(\w+)\(", "".join(EXAMPLES)))
    methods = {name for name in dir(kind) if name[0] != "_" and callable(inspect.getattr_static(kind, name))}
    methods |= {name for name in dir(kind) if isinstance(inspect.getattr_static(kind, name), classmethod)}
    assert methods - used <= {"call", "close"} & set(dir(Client)) if kind is Client else methods <= used


def test_the_examples_run(model: cm.Model, adata: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"folder": model.folder, "adata": adata, "address": "http://service", "key": None}
    with TestClient(make_app(model.annotator)) as inside:
        # The client's network is the service in this process.
        monkeypatch.setattr(client_module, "open_http", partial(_open, inside._transport))
        test = doctest.DocTestParser().get_doctest("\n".join(EXAMPLES), given, "reference.md", None, 0)
        assert len(test.examples) > 15
        failures: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=failures.append)
    assert not failures, "".join(failures)


def _open(inside: Any, url: str, key: str | None, *, timeout: float, transport: Any) -> Any:
    assert transport is None
    return open_http(url, key, timeout=timeout, transport=inside)
