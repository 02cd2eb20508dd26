"""The BentoML service: a model that loads while the server starts, and the routes of `app.py` mounted at the root.

`cellmark serve --model MODEL` starts it; `bentoml serve cellmark.serving.service:CellmarkService` does too, with the
settings in environment variables (`settings.py`). BentoML brings the server, its worker processes, /livez and
/readyz; metrics, traces and the log of requests are our own (`observe`).
"""

import gc
from dataclasses import replace

import bentoml

from cellmark.schemas.errors import CellmarkError

from .app import make_app
from .http.problems import ProblemMiddleware, leave_requests_untimed
from .http.served_model import ServedModel
from .http.settings import ServiceSettings
from .http.timed_protocol import limit_headers
from .limits.ending import Ending, end_gently, end_with_server
from .limits.owned_folder import share_folder_of_server
from .limits.settings import LimitSettings
from .observe.bentoml_observers import leave_requests_untraced
from .observe.json_log import configure_log
from .reader.reader_server import reader_server, start_reader
from .service_parts import service_parts

LONGEST_REQUEST = 24 * 3600
"""Seconds, should `leave_requests_untimed` ever not hold: BentoML gives up after a minute while the work goes on."""

UNANSWERED_SECONDS = 20
"""Seconds of loading after which a worker answers all the same: /livez with yes, the other routes with 503."""

settings = ServiceSettings.from_environment()
configure_log(settings.log)
leave_requests_untimed()
leave_requests_untraced()
limit_headers(LimitSettings.from_environment().header_seconds)
parts = service_parts(settings)
served = ServedModel()


def why_not_ready() -> CellmarkError | None:
    """The error that /readyz tells, None when the model is ready."""
    try:
        served.require_ready()
    except CellmarkError as error:
        return error
    reasons = (why_not() for why_not in (parts.admission.why_not_ready, *parts.ready))
    return next((error for error in reasons if error is not None), None)


# An ASGI application rather than BentoML's own routes: those are POST only, and cannot take a body that is JSON or an
# upload. Its paths come before BentoML's pages; what neither knows is answered by BentoML and put right on the way out.
@bentoml.service(
    name="cellmark",
    workers=settings.workers,
    traffic={"timeout": LONGEST_REQUEST},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(make_app(served, settings, replace(parts, middlewares=())), path="/", name="cellmark")
class CellmarkService:
    """Names the type of every cell and shows the genes behind each call."""

    def __init__(self) -> None:
        end_with_server()
        share_folder_of_server()
        # What the imports made stays; looking through all of it again and again would make some requests wait.
        gc.collect()
        gc.freeze()
        ending: Ending = parts.extra["ending"]
        end_gently(ending, parts.extra["limits"])
        start_reader()
        served.start(settings)
        for start in parts.starts:
            start()
        # Before this returns no connection is accepted: they go to workers that can answer, or wait.
        served.wait(UNANSWERED_SECONDS, unless=lambda: ending.begun)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def end_readers(self) -> None:
        """A worker is ended by a signal, after which nothing of its own runs any more."""
        reader_server().stop()
        served.stop()
        for stop in parts.stops:
            stop()

    def __is_ready__(self) -> bool:
        """Digests were verified and the golden cells gave the numbers that they should, and the service goes on."""
        return why_not_ready() is None


# Around BentoML's own routes too, such as /metrics.
for middleware in parts.middlewares:
    CellmarkService.add_asgi_middleware(middleware.cls, **middleware.kwargs)  # type: ignore[attr-defined]
CellmarkService.add_asgi_middleware(ProblemMiddleware, explain=why_not_ready)  # type: ignore[attr-defined]
