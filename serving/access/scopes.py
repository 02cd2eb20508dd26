"""Which scope each route needs. A path that stands nowhere here is never handed on by a guarded service."""

from collections.abc import Iterable
from enum import Enum
from typing import Literal, get_args

from cellmark.schemas.errors import ParameterError, RequestError

Scope = Literal["annotate", "explain", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SCOPES_TEXT = "annotate, explain or admin"
OPEN_SCOPES: frozenset[str] = frozenset({"annotate", "explain"})
"""What callers of a service without keys may do: `admin` always needs a key."""


class Need(Enum):
    """What a route needs beside a scope."""

    NOTHING = "nothing"
    ANY_KEY = "any key"
    UNKNOWN = "unknown"


Needed = Scope | Need
METRICS = "/metrics"

ROUTES: tuple[tuple[str, Needed], ...] = (
    ("/annotate", "annotate"),
    ("/attribute", "explain"),
    ("/validate", "annotate"),
    ("/map", "annotate"),
    ("/model", "annotate"),
    ("/models", "annotate"),
    ("/markers", "annotate"),
    ("/report", "annotate"),
    ("/jobs", "annotate"),
    ("/admin", "admin"),
    # MLflow has no key: it signs its messages.
    ("/admin/webhook", Need.NOTHING),
    # The Open Inference Protocol: health is for probes.
    ("/v2", "annotate"),
    ("/v2/health", Need.NOTHING),
    # Probes, the pages and the documents hold nothing of a person or a model.
    ("/page", Need.NOTHING),
    ("/docs", Need.NOTHING),
    ("/livez", Need.NOTHING),
    ("/healthz", Need.NOTHING),
    ("/readyz", Need.NOTHING),
    (METRICS, Need.ANY_KEY),
    ("/openapi.json", Need.NOTHING),
    ("/docs.json", Need.NOTHING),
    ("/schema.json", Need.NOTHING),
    ("/static_content", Need.NOTHING),
)
"""A path and all below it, with what they need. The longest that fits decides."""

EXPLAINS = "attribute"
"""The last part of a path below `/models` that explains calls, whichever model it names."""


class RouteNeeds:
    """What a path needs. `open_metrics`: whether `/metrics` is for everybody."""

    def __init__(self, routes: Iterable[tuple[str, Needed]] = ROUTES, *, open_metrics: bool = True) -> None:
        self._needs: dict[str, Needed] = dict(routes)
        if open_metrics:
            self._needs[METRICS] = Need.NOTHING

    def of(self, path: str) -> Needed:
        """What `path`, decoded as the router sees it, needs."""
        exact = self._needs.get(path)
        if exact is not None:
            return exact
        if path == "/":
            return Need.NOTHING
        above = path.rpartition("/")[0]
        while above:
            need = self._needs.get(above)
            if need is not None:
                return "explain" if above == "/models" and last_part(path) == EXPLAINS else need
            above = above.rpartition("/")[0]
        return Need.UNKNOWN


def checked_scopes(names: Iterable[str]) -> frozenset[str]:
    """The scopes of these names. Raises `ParameterError`."""
    wanted = frozenset(names)
    for name in sorted(wanted - set(SCOPES)):
        raise ParameterError.not_a_choice("scope", choices=SCOPES_TEXT, found=repr(name))
    return wanted


def last_part(path: str) -> str:
    """The last part of a path that is not empty."""
    return path.rstrip("/").rpartition("/")[2]


def require_scope(scopes: frozenset[str], scope: Scope, *, where: str) -> None:
    """Raise `RequestError` (`SCOPE_MISSING`) unless `scope` is among the caller's."""
    if scope not in scopes:
        raise RequestError.of(
            "SCOPE_MISSING",
            where=where,
            expected=f"a key or token with the scope {scope}",
            found=f"one with {', '.join(sorted(scopes)) or 'no scope'}",
            remedy=f"Ask the service's operator for one: cellmark keys create --scope {scope}.",
        )
