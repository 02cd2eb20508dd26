"""A challenger that answers a share of the requests once more, in the background: nobody waits for it or sees it.

Tasks wait in a short queue, and are dropped when it is full. One thread of low priority takes them. What it finds is
added to totals that all workers share: agreement, confidence, seconds, and which types were called otherwise.
"""

import logging
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.cells.cell_source import MemoryCells, NamedCells
from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import CellmarkError

from ..annotator import Annotator
from ..observe.shadow_counts import count_shadow
from ..scoring.score import Calls, score

logger = logging.getLogger("cellmark.serving")

MOST_WAITING = 16
MOST_CELLS = 2_000
"""Cells of a request that is scored again; larger ones would hold memory for long."""
NICENESS = 15
DIFFERS = "differs:"
ARROW = " -> "
Totals = dict[str, float]
Offer = Callable[[Annotator, RequestCells, Calls, float], object]
"""Takes an answered request: the model, its cells, their calls and the seconds that these took."""


def offer_to_nobody(champion: Annotator, cells: RequestCells, calls: Calls, seconds: float) -> None:
    """Without a challenger."""


@dataclass(frozen=True)
class ShadowTask:
    """An answered request. `calls`: of the champion, in its types' order; `seconds`: it took to score them."""

    champion: Annotator
    cells: RequestCells
    calls: Calls
    seconds: float


class Shadow:
    """`challenger`: a lease of it, which raises `KeyError` while there is none. `add`: to the totals of a pair."""

    def __init__(
        self,
        share: float,
        challenger: Callable[[], AbstractContextManager[Annotator]],
        add: Callable[[str, Totals], None],
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._share = share
        self._challenger = challenger
        self._add = add
        self._draw = draw
        self._waiting: deque[ShadowTask] = deque()
        self._dropped: Counter[str] = Counter()
        self._ready = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="cellmark-shadow", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify()

    def offer(self, champion: Annotator, cells: RequestCells, calls: Calls, seconds: float) -> bool:
        """Take a request for the challenger, if its turn has come; True when it waits for it now. Never waits."""
        if self._draw() >= self._share:
            return False
        if not isinstance(cells.source, MemoryCells | NamedCells) or cells.source.n_obs > MOST_CELLS:
            self._drop("skipped")  # a file's cells are gone with its reader
            return False
        if len(self._waiting) >= MOST_WAITING:
            self._drop("dropped")
            return False
        with self._ready:
            self._waiting.append(ShadowTask(champion, cells, calls, seconds))
            self._ready.notify()
        return True

    def _drop(self, why: str) -> None:
        self._dropped[why] += 1

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # of this thread alone, on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            with self._ready:
                while not self._waiting and not self._ended:
                    self._ready.wait()
                if self._ended:
                    return
                task = self._waiting.popleft()
            try:
                self.work(task)
            except Exception:
                logger.exception("The challenger failed")
            del task

    def work(self, task: ShadowTask) -> None:
        """Let the challenger score a request, and add what it found."""
        dropped = {name: float(count) for name, count in self._dropped.items()}
        self._dropped.clear()
        try:
            with self._challenger() as challenger:
                try:
                    found = compare(task, challenger)
                except CellmarkError:
                    found = {"refused": 1.0}
                self._note(task.champion, challenger, {**found, **dropped})
        except KeyError:
            pass  # none is loaded

    def _note(self, champion: Annotator, challenger: Annotator, totals: Totals) -> None:
        self._add(pair_name(champion, challenger), totals)
        count_shadow(challenger.source.name, challenger.source.version, totals)


def compare(task: ShadowTask, challenger: Annotator) -> Totals:
    """Totals of one request. Raises `InputError` when the cells do not fit the challenger."""
    started = time.perf_counter()
    checked = challenger.check(task.cells.source, task.cells.reading)
    calls = score(checked, challenger.session, rules=challenger.rules(), workers=1)
    seconds = time.perf_counter() - started
    ours, theirs = called(task.champion, task.calls), called(challenger, calls)
    best = np.array(task.champion.cell_types)[task.calls.best] == np.array(challenger.cell_types)[calls.best]
    same = ours == theirs
    totals: Totals = {
        "requests": 1.0,
        "cells": float(len(ours)),
        "same_call": float(same.sum()),
        "same_best_type": float(best.sum()),
        "unassigned_champion": float((ours == UNASSIGNED).sum()),
        "unassigned_challenger": float((theirs == UNASSIGNED).sum()),
        "confidence_champion": float(task.calls.confidence.sum(dtype=np.float64)),
        "confidence_challenger": float(calls.confidence.sum(dtype=np.float64)),
        "seconds_champion": task.seconds,
        "seconds_challenger": seconds,
    }
    differs = Counter(zip(ours[~same].tolist(), theirs[~same].tolist(), strict=True))
    return totals | {f"{DIFFERS}{one}{ARROW}{other}": float(count) for (one, other), count in differs.items()}


def called(annotator: Annotator, calls: Calls) -> np.ndarray:
    """The call of each cell by name, `unassigned` where its novelty is above the model's threshold."""
    names: np.ndarray = np.array(annotator.cell_types, dtype=object)[calls.best]
    threshold = annotator.rules().novelty_threshold
    if threshold is not None and calls.novelty is not None:
        names[calls.novelty > threshold] = UNASSIGNED
    return names


def pair_name(champion: Annotator, challenger: Annotator) -> str:
    """Champion and challenger as one text: names, versions, starts of digests."""

    def name(annotator: Annotator) -> str:
        version = f" version {annotator.source.version}" if annotator.source.version else ""
        return f"{annotator.source.name}{version} ({annotator.bundle.digest[:12]})"

    return name(champion) + ARROW + name(challenger)


def summary(pair: str, totals: Totals, *, most: int = 20) -> dict[str, Any]:
    """What the totals of a pair say, for `GET /admin/shadow`. Shares and means are None before the first cell."""
    n_cells, n_requests = totals.get("cells", 0.0), totals.get("requests", 0.0)

    def mean(name: str, of: float = n_cells) -> float | None:
        return totals.get(name, 0.0) / of if of else None

    champion, challenger = mean("confidence_champion"), mean("confidence_challenger")
    differs = sorted(
        ((count, name.removeprefix(DIFFERS)) for name, count in totals.items() if name.startswith(DIFFERS)),
        key=lambda entry: (-entry[0], entry[1]),
    )
    return {
        "champion": pair.partition(ARROW)[0],
        "challenger": pair.partition(ARROW)[2],
        "requests": int(n_requests),
        "cells": int(n_cells),
        "agreement": mean("same_call"),
        "agreement_best_type": mean("same_best_type"),
        "confidence_champion": champion,
        "confidence_challenger": challenger,
        "confidence_shift": None if champion is None or challenger is None else challenger - champion,
        "unassigned_champion": mean("unassigned_champion"),
        "unassigned_challenger": mean("unassigned_challenger"),
        "seconds_champion": mean("seconds_champion", n_requests),
        "seconds_challenger": mean("seconds_challenger", n_requests),
        "refused": int(totals.get("refused", 0)),
        "dropped": int(totals.get("dropped", 0)),
        "skipped": int(totals.get("skipped", 0)),
        "differences": [
            {"champion": name.partition(ARROW)[0], "challenger": name.partition(ARROW)[2], "cells": int(count)}
            for count, name in differs[:most]
        ],
    }
