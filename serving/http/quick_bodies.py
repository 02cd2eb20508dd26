"""Which requests are answered at once, without a detour through a thread: small ones of a kind that was quick before.

Handing a request to a thread and its answer back costs as much as computing one cell. What could make a small body slow
is a list of genes that nobody has seen, whose names have to be looked up, or what is asked of it; so requests are of
one kind where route, options and list of genes are the same to the byte.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

MOST_BYTES = 64 * 1024
MOST_CELLS = 64
"""Many cells take long although one did not."""
QUICK, SLOW = 0.02, 0.05
"""Seconds within which a request was quick, and after which its kind is no longer."""
MOST_KINDS = 64
GENES_FIRST = re.compile(rb'\s*\{\s*"genes"\s*:\s*\[')

Kind = tuple[str, bytes]


class QuickBodies:
    """Kinds of requests that were quick, the last `MOST_KINDS`. For one event loop."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Kind, None] = OrderedDict()

    def __contains__(self, kind: Kind | None) -> bool:
        return kind in self._kinds

    @contextmanager
    def timed(self, kind: Kind | None) -> Iterator[bool]:
        """Whether the kind was quick, before a block that is to answer a request of it. One that is refused makes no
        kind quick, but may show that it is not.
        """
        began = time.perf_counter()
        try:
            yield kind in self
        except BaseException:
            self.note(kind, max(time.perf_counter() - began, QUICK))
            raise
        self.note(kind, time.perf_counter() - began)

    def note(self, kind: Kind | None, seconds: float) -> None:
        """Remember or forget a kind, by how long a request of it took."""
        if kind is None:
            return
        if seconds < QUICK:
            self._kinds[kind] = None
            self._kinds.move_to_end(kind)
            if len(self._kinds) > MOST_KINDS:
                self._kinds.popitem(last=False)
        elif seconds > SLOW:
            self._kinds.pop(kind, None)


def kind_of(route: str, body: bytes | bytearray | None) -> Kind | None:
    """What a small JSON body has in common with others: the route with its options, and all up to the end of its list
    of genes. None for a large body, and for one that does not begin with its genes.
    """
    if body is None or len(body) > MOST_BYTES or not GENES_FIRST.match(body):
        return None
    end = body.find(b"]")
    # A bracket within a name would leave the rest of the list to chance.
    if end < 0 or body.count(b'"', 0, end) % 2 or body.find(b"\\", 0, end) >= 0:
        return None
    # Each cell has a brace and another for its counts; in the CSR form, which has one in all, a name. A brace within a
    # name can only raise the number.
    if (body.count(b"{") // 2 or body.count(b'"', end) // 2) > MOST_CELLS:
        return None
    return route, bytes(body[: end + 1])
