"""The log as JSON, one object a line, or as text: `CELLMARK_LOG=json` or `text`."""

import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any, Literal

from .request_log import RequestLine

LogFormat = Literal["text", "json"]
LOGGERS = ("", "bentoml", "uvicorn.error", "circus")
"""The loggers that BentoML gives handlers; `cellmark` has one of its own."""
SERVICE = "cellmark"
ENCODER = json.JSONEncoder(default=str, separators=(",", ":"))


class JsonFormatter(logging.Formatter):
    """Fields: `time` (UTC), `level`, `logger`, `message`, and those of a request (`request_log.py`), for which there is
    no message; `traceback` for an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        line |= record.msg.fields if isinstance(record.msg, RequestLine) else {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


class TextFormatter(logging.Formatter):
    """As BentoML's lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] [%(name)s] %(message)s", "%Y-%m-%dT%H:%M:%S%z")


def configure_log(form: LogFormat, *, loggers: Iterable[str] = LOGGERS) -> None:
    """Let the service's own log go to standard output in this form, and with `json` the log of the server around it."""
    service = logging.getLogger(SERVICE)
    if not service.handlers:
        service.addHandler(logging.StreamHandler(sys.stdout))
        service.propagate = False
    service.setLevel(logging.INFO)
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == SERVICE:
            # BentoML's configuration disables all loggers that were there before it.
            logging.getLogger(name).disabled = False
    for handler in service.handlers:
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if form == "json":
        for name in loggers:
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(JsonFormatter())
