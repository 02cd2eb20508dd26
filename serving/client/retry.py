"""When a request is sent again, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

AGAIN = (429, 503)
"""Statuses that ask for another try later. The request changed nothing: a call has no effect but its answer."""
AGAIN_BY_PROXY = (502, 504)
"""Statuses of a proxy that did not reach the service. The service's own answers of these statuses are final."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How patient a client is. `patience`: seconds from the first failure after which it gives up. `first`: longest
    wait before the second try, which doubles up to `longest`; half of each wait is drawn at random, so that many
    clients do not come back at once. A service that names a time (`Retry-After`) is asked no sooner.
    """

    patience: float = 120.0
    first: float = 0.5
    longest: float = 20.0

    def wait(
        self,
        n_failed: int,
        since: float,
        retry_after: float | None = None,
        *,
        draw: Callable[[], float] = random.random,
    ) -> float | None:
        """Seconds to wait after `n_failed` tries (at least 1), None to give up. `since`: seconds since the first
        failure; `retry_after`: what the service asks for, in seconds; `draw`: a number from 0 to 1.
        """
        ceiling = min(self.longest, self.first * 2 ** min(n_failed - 1, 30))
        wait = max(retry_after or 0.0, ceiling * (0.5 + 0.5 * draw()))
        return wait if since + wait <= self.patience else None


NO_RETRY = Retry(patience=-1.0)
"""Every failure is final."""


def retry_after(header: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds that a header `Retry-After` asks for, as a number or a date; None for none or another text."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
