"""The service's settings: environment variables, so that a server, its workers and a container read the same."""

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..environment_settings import MIB, Count
from ..observe.json_log import LogFormat
from ..reader.reading_rules import ReadingSettings
from ..scoring.session import Device


@dataclass(frozen=True)
class ServiceSettings(ReadingSettings):
    """Settings of one service, beside those of reading uploads."""

    model: str | None = Field(default=None, description="bundle folder or MLflow URI")
    model_name: str | None = Field(default=None, description="name that answers give, in place of the bundle's own")
    model_version: str | None = Field(default=None, description="version of the registered model that answers give")
    device: Device = Field(default="cpu", description="cpu or cuda")
    workers: Count = Field(default=1, description="server processes, each with a model of its own")
    threads: Count = Field(default=1, description="threads of onnxruntime within one chunk of cells")
    concurrency: Count = Field(default=4, description="requests that one worker computes at a time; others wait")
    max_upload_bytes: Count = Field(default=256 * MIB, description="largest body with a file")
    max_json_bytes: Count = Field(default=64 * MIB, description="largest JSON body")
    log: LogFormat = Field(default="text", description="form of the log: text, or json with one object a line")
