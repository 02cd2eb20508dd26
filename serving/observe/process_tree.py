"""What the server takes of the machine: memory, open files and processes of its tree, and what is left on its disk.

prometheus_client counts this for one process only, and not at all for several.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psutil
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ProcessTree(Collector):
    """Counted when asked: the workers' parent and all below it."""

    def collect(self) -> Iterator[Metric]:
        n_processes, memory, n_files = totals(server_processes())
        yield GaugeMetricFamily("cellmark_processes", "Processes of the server.", n_processes)
        yield GaugeMetricFamily("cellmark_memory_bytes", "Memory of the server's processes, shared once.", memory)
        yield GaugeMetricFamily("cellmark_open_files", "Open files of the server's processes.", n_files)
        with suppress(OSError):
            free = psutil.disk_usage(tempfile.gettempdir()).free
            yield GaugeMetricFamily("cellmark_temporary_free_bytes", "Free space where bodies are kept.", free)


def server_processes() -> list[psutil.Process]:
    """The processes of this server; of a worker that stands by itself, its own."""
    worker = psutil.Process()
    top = worker
    with suppress(psutil.Error):
        parent = worker.parent()
        # The server and its workers are the same program; a shell or a test that started one is not.
        if parent is not None and "cellmark.serving.http.start_server" in parent.cmdline():
            top = parent
    found = [top]
    with suppress(psutil.Error):
        found += top.children(recursive=True)
    return found


def totals(processes: Iterable[psutil.Process]) -> tuple[int, int, int]:
    """Number of processes, their bytes of memory, their open files; one that ends meanwhile is left out."""
    counted = [0, 0, 0]
    for process in processes:
        with suppress(psutil.Error):
            memory, n_files = memory_of(process), process.num_fds() if os.name == "posix" else 0
            counted = [counted[0] + 1, counted[1] + memory, counted[2] + n_files]
    return counted[0], counted[1], counted[2]


def memory_of(process: psutil.Process) -> int:
    """Bytes of resident memory; on Linux with its share of what several processes have in common (PSS)."""
    with suppress(psutil.AccessDenied):
        return int(getattr(process.memory_full_info(), "pss", 0)) or int(process.memory_info().rss)
    return int(process.memory_info().rss)
