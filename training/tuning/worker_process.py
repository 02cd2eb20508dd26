"""The process that works on something that several share, and whether it still runs."""

from pathlib import Path

PROC = Path("/proc")


def this_process() -> str | None:
    """A name that no other process on any machine has had; None where the system does not tell (outside Linux)."""
    try:
        return f"{_machine()}/{_start(PROC / 'self')}"
    except (OSError, ValueError):
        return None


def has_ended(process: str | None) -> bool:
    """Whether a process, by its name, was on this machine (and in this container) and is no more.

    False when that cannot be known from here.
    """
    try:
        machine, _, started = (process or "").rpartition("/")
        if machine != _machine():
            return False
        pid = started.split(":")[0]
    except OSError:
        return False
    try:
        return _start(PROC / pid) != started
    except OSError:
        return True
    except ValueError:
        return False


def _machine() -> str:
    """A start of a machine, and the container within it: process numbers mean nothing elsewhere."""
    return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()}/{(PROC / 'self/ns/pid').readlink()}"


def _start(folder: Path) -> str:
    """Number of a process and when it started; a killed one that nobody waited for has no time."""
    number, _, rest = (folder / "stat").read_text().partition(" (")
    values = rest.rpartition(") ")[2].split()
    state, start = values[0], values[19]  # fields 3 and 22 of proc_pid_stat(5)
    return f"{number}:{'' if state in 'ZX' else start}"
