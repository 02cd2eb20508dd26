"""Which requests are answered without a thread: those of a kind that was quick before."""

import json

import pytest

from cellmark.serving.http import quick_bodies as module
from cellmark.serving.http.quick_bodies import MOST_BYTES, MOST_CELLS, MOST_KINDS, QUICK, SLOW, QuickBodies, kind_of


def body(genes: list[str], n_cells: int = 1) -> bytes:
    return json.dumps({"genes": genes, "cells": [{"cell_id": str(n), "counts": {}} for n in range(n_cells)]}).encode()


def test_a_cell_may_have_many_genes() -> None:
    counts = {f"g{number}": 1 for number in range(1000)}
    text = json.dumps({"genes": [*counts], "cells": [{"cell_id": "a", "counts": counts}]}).encode()
    assert kind_of("/annotate", text) is not None
    csr = {"genes": [*counts], "cell_ids": ["a"], "indptr": [0, 1000], "indices": [*range(1000)], "data": [1] * 1000}
    assert kind_of("/annotate", json.dumps(csr).encode()) is not None


def test_a_kind_is_the_route_and_the_list_of_genes() -> None:
    kind = kind_of("/annotate", body(["a", "b"]))
    assert kind is not None
    assert kind == kind_of("/annotate", body(["a", "b"], 3))
    assert kind != kind_of("/attribute", body(["a", "b"]))
    assert kind != kind_of("/annotate", body(["a", "c"]))


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"{}",
        b'{"cells": [], "genes": ["a"]}',
        b'{"genes": ["a", "b',
        b'{"genes": ["a]", "b"]}',
        b'{"genes": ["a\\"]", "b"]}',
        b'{"genes": ["a"]' + b" " * MOST_BYTES + b"}",
        body(["a"], MOST_CELLS + 1),
        b'{"genes": ["a"], "cell_ids": [' + b'"c", ' * (MOST_CELLS + 10) + b'"d"]}',
    ],
)
def test_other_bodies_are_of_no_kind(text: bytes | None) -> None:
    assert kind_of("/annotate", text) is None


def test_what_a_block_takes_is_noted_also_when_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, QUICK / 2, 1.0, 1.0 + QUICK / 2, 2.0, 2.0 + SLOW * 2, 3.0, 3.0 + QUICK / 2])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    quick = QuickBodies()
    kind = kind_of("/annotate", body(["a"]))
    with quick.timed(kind) as was_quick:
        assert not was_quick
    with quick.timed(kind) as was_quick:
        assert was_quick
    with pytest.raises(ValueError, match="slow"), quick.timed(kind):
        raise ValueError("slow")
    assert kind not in quick
    with pytest.raises(ValueError, match="fast"), quick.timed(kind):
        raise ValueError("fast")
    assert kind not in quick, "a refusal says nothing of what an answer takes"


def test_kinds_are_learned_and_forgotten() -> None:
    quick = QuickBodies()
    kind = kind_of("/annotate", body(["a"]))
    assert kind not in quick
    quick.note(kind, (QUICK + SLOW) / 2)
    assert kind not in quick
    quick.note(kind, QUICK / 2)
    assert kind in quick
    quick.note(kind, (QUICK + SLOW) / 2)
    assert kind in quick
    quick.note(kind, SLOW * 2)
    assert kind not in quick
    quick.note(None, 0)
    assert None not in quick
    for number in range(MOST_KINDS + 1):
        quick.note(kind_of("/annotate", body([f"g{number}"])), 0)
    assert kind_of("/annotate", body(["g0"])) not in quick
    assert kind_of("/annotate", body([f"g{MOST_KINDS}"])) in quick
