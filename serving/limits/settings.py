"""Settings of the service's limits."""

import os
import tempfile
from pathlib import Path

import psutil
from pydantic import Field
from pydantic.dataclasses import dataclass

from ..environment_settings import MIB, Count, EnvironmentSettings

WORKER_BYTES = 400 * MIB
"""Memory that one worker takes at rest, its program of readers included, and some to spare."""
CGROUP = Path("/sys/fs/cgroup")
STATE = "CELLMARK_STATE"


@dataclass(frozen=True)
class LimitSettings(EnvironmentSettings):
    """How much the service takes on, and for how long. Seconds may have decimals."""

    bodies_bytes: Count = Field(
        default=1024 * MIB, description="bytes of bodies above CELLMARK_SMALL_BYTES that all workers hold at a time"
    )
    small_bytes: Count = Field(default=MIB, description="largest body that need not wait behind larger ones")
    queue: Count = Field(default=64, description="requests of one worker that may wait, of each size")
    queue_seconds: float = Field(
        default=10, gt=0, le=86400, description="seconds that a request may wait before its body is received"
    )
    request_seconds: float = Field(
        default=300,
        gt=0,
        le=86400,
        description="seconds that a request may take; the header X-Request-Timeout asks for less",
    )
    header_seconds: float = Field(
        default=10, gt=0, le=86400, description="seconds in which a client must have sent the headers of its request"
    )
    body_seconds: float = Field(
        default=20,
        gt=0,
        le=86400,
        description="seconds between two pieces of a body, and in which it must get faster than 16 kB/s",
    )
    rate: float = Field(
        default=0,
        ge=0,
        le=1e6,
        description="requests a second of one key, or of one address without keys; 0: any number",
    )
    rate_burst: Count = Field(default=20, description="requests that a key may send at once before the rate counts")
    allowed_hosts: str = Field(
        default="*", description="names in the header Host that are answered, separated by commas; *: any"
    )
    drain_seconds: float = Field(
        default=1,
        ge=0,
        le=3600,
        description="seconds from SIGTERM, in which /readyz says no, until connections are refused",
    )
    shutdown_seconds: float = Field(
        default=20, gt=0, le=86400, description="seconds after that in which requests may be finished"
    )

    def hosts(self) -> frozenset[str] | None:
        """Names that are answered, in lower case; None: any."""
        names = frozenset(name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip())
        return None if "*" in names else names


def default_workers() -> int:
    """Two, so that one that is killed costs its own requests alone, where there are processors and memory for them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 if processors >= 2 and free_memory() >= 2 * WORKER_BYTES else 1


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes that can still be had, by the machine and by the container."""
    free = int(psutil.virtual_memory().available)
    try:
        most, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return free if most == "max" else min(free, int(most) - int(used))
    except (OSError, ValueError):
        return free


def state_folder() -> Path | None:
    """Where workers share what they must agree on; None for a process of its own."""
    name = os.environ.get(STATE, "")
    return Path(name) if name else None


def temporary_folder() -> Path:
    """Where bodies are kept while they are computed."""
    return Path(tempfile.gettempdir())
