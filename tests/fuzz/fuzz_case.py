"""One numbered case: which input, how it is mutated, and the request that hands it in."""

from typing import Any, NamedTuple

import numpy as np
from mutate import BYTES, mutate
from sound_inputs import SoundInput

HDF5, NPZ, JSON = "application/x-hdf5", "application/x-npz", "application/json"
MEDIA_TYPES = {"h5ad": HDF5, "h5": HDF5, "npz": NPZ, "json": JSON}
OTHER_MEDIA_TYPES = (HDF5, NPZ, JSON, "text/plain", "", "application/octet-stream; charset=\xff", "multipart/form-data",
                     "multipart/form-data; boundary=", "Application/JSON ; q=1", "x" * 3000)  # fmt: skip
ROUTES = ("/annotate",) * 15 + ("/attribute",) * 4 + ("/validate",)
"""/validate runs Great Expectations on what is valid, which takes longest."""
BAD_OPTIONS: tuple[dict[str, str], ...] = (
    {"layer": "nowhere"}, {"layer": ""}, {"layer": "\0"}, {"library_size": "donor"}, {"library_size": "note"},
    {"library_size": "é" * 500}, {"probabilities": "2"}, {"recover_counts": "true"}, {"other": "1"}, {"top": "-1"},
    {"top": "9" * 400}, {"target": "T cell", "against": "T cell"}, {"against": "second"},
)  # fmt: skip
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="cells.%b"\r\n\r\n%b\r\n--b--\r\n'


class Case(NamedTuple):
    """`how`: the mutation. `sent`: as a body, in a form, or in a request that is mutated too. `arguments`: of httpx."""

    number: int
    kind: str
    name: str
    how: str
    sent: str
    route: str
    content: bytes
    arguments: dict[str, Any]


def make_case(inputs: list[SoundInput], number: int, *, seed: int) -> Case:
    """Case `number`: the same each time for one seed."""
    random = np.random.default_rng([seed, number])
    chosen = inputs[number % len(inputs)]
    how, content = mutate(chosen.kind, chosen.content, random)
    route = ROUTES[random.integers(len(ROUTES))]
    query: dict[str, str] = dict(chosen.options)
    if random.random() < 0.05:
        query |= BAD_OPTIONS[random.integers(len(BAD_OPTIONS))]
    sent, media_type, body = "body", MEDIA_TYPES[chosen.kind], content
    draw = random.random()
    if draw < 0.03:
        sent, media_type = "another media type", OTHER_MEDIA_TYPES[random.integers(len(OTHER_MEDIA_TYPES))]
    elif chosen.kind != "json" and draw < 0.07:
        sent, media_type = "a broken form", "multipart/form-data; boundary=b"
        body = BYTES[random.integers(len(BYTES))](FORM % (chosen.kind.encode(), content[:1000]), random)
    elif chosen.kind != "json" and draw < 0.5:
        form = {"params": query, "files": {"file": (f"cells.{chosen.kind}", content)}}
        return Case(number, chosen.kind, chosen.name, how, "form", route, content, form)
    headers = {"Content-Type": media_type.encode("latin-1")}
    arguments = {"params": query, "content": body, "headers": headers}
    return Case(number, chosen.kind, chosen.name, how, sent, route, content, arguments)
