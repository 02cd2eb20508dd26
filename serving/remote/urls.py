"""URLs of inputs: which text is one, and what of it may be shown and kept, since it may hold credentials."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.IGNORECASE | re.DOTALL)
SECRETS = re.compile(
    r"x-(amz|goog|ms)-.*|sig|signature|s[a-z]|sks?t|sk[a-z]+|(access_?|auth_?|id_?)?token|expires|policy|key-pair-id|"
    r"awsaccesskeyid|googleaccessid|api_?key|key|password|auth.*|credential",
    re.IGNORECASE,
)
"""Parameters that grant access for a while, as signed URLs of object stores have them: not part of what is named."""


@dataclass(frozen=True)
class InputUrl:
    """`scheme`: in small letters. `rest`: all after `://`, with what grants access."""

    scheme: str
    rest: str

    @property
    def whole(self) -> str:
        """The URL that is asked for. It may hold credentials: it is not for messages or files."""
        return f"{self.scheme}://{self.rest}"

    @property
    def _path(self) -> tuple[str, list[tuple[str, str]]]:
        path, _, query = self.rest.partition("#")[0].partition("?")
        host, slash, inside = path.partition("/")
        kept = [(name, value) for name, value in parse_qsl(query) if not SECRETS.fullmatch(name)]
        return f"{host.rpartition('@')[2]}{slash}{inside}", kept

    @property
    def shown(self) -> str:
        """The URL for people and files: without user, password, signature and fragment."""
        path, kept = self._path
        return f"{self.scheme}://{path}" + (f"?{urlencode(kept)}" if kept else "")

    @property
    def name(self) -> str:
        """A file name, by whose extension the input is read: of the path, or of a parameter where that has none."""
        path, kept = self._path
        names = [unquote(path.rstrip("/").rpartition("/")[2]), *(value for _, value in reversed(kept))]
        named = next((name for name in names if Path(name).suffix), names[0])
        safe = re.sub(r"[^\w.+ ()=,-]", "_", named.rpartition("/")[2]).lstrip(".")
        return safe[-200:] or "input"

    @property
    def key(self) -> str:
        """Names the place of its copy; the same for each signature of one URL."""
        return hashlib.sha256(self.shown.encode()).hexdigest()[:32]


def url_of(given: str | os.PathLike[str]) -> InputUrl | None:
    """The URL that was given in place of a path, None for a path. A `Path` made of a URL lost a slash, and is one."""
    text = os.fspath(given)
    found = URL.fullmatch(text)
    if found is None or os.path.lexists(text):
        return None
    return InputUrl(found[1].lower(), found[2].rstrip("/"))


def shown_input(given: str | os.PathLike[str]) -> str:
    """What to call an input in messages and files: its path as given, or its URL without credentials."""
    url = url_of(given)
    return os.fspath(given) if url is None else url.shown
