"""Which route a path belongs to: labels of metrics must take few values, and a caller may ask for any path."""

import re
from collections.abc import Iterable

OTHER = "other"
"""What all paths are counted as that no route has."""
PROBES = frozenset({"/livez", "/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Asked every few seconds by machines: not counted, logged or traced."""
PARAMETER = re.compile(r"\\\{[^}]+\\\}")


class RouteNames:
    """`templates`: paths as the OpenAPI document has them, such as `/jobs/{id}`."""

    def __init__(self, templates: Iterable[str]) -> None:
        all_of_them = list(templates)
        self._plain = {path: path for path in all_of_them if "{" not in path}
        self._patterns = [
            (re.compile(PARAMETER.sub("[^/]+", re.escape(path))), path) for path in all_of_them if "{" in path
        ]

    def of(self, path: str) -> str:
        """The template that the path fits, or `OTHER`."""
        name = self._plain.get(path)
        if name is not None:
            return name
        return next((name for pattern, name in self._patterns if pattern.fullmatch(path)), OTHER)
