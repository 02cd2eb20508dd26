"""Where torch computes: the device asked for, and on the CPU one thread."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cellmark.schemas.errors import SetupError


def torch_device(name: str) -> torch.device:
    """The device. Raises `SetupError` (`DEVICE_UNAVAILABLE`) for a CUDA that is not there: no silent CPU."""
    if name == "cuda" and not torch.cuda.is_available():
        build = torch.version.cuda or "none: this torch is a CPU build"
        raise SetupError.of(
            "DEVICE_UNAVAILABLE",
            where="device",
            expected="a working cuda device",
            found=f"none (CUDA of torch: {build})",
            remedy="Use --device cpu, or install a CUDA build of torch on a machine with an NVIDIA GPU.",
        )
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread for torch, and as many as before afterwards.

    A batch is small, and on busy cores the barriers of a second thread cost far more than it gains: 60 epochs on 461
    cells took 73 s with two threads and 3 s with one, on two cores in use by others. The sums of one thread are also
    the same on every number of cores, and so are the weights.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fast_products() -> Iterator[None]:
    """Lets torch multiply float32 matrices by its fastest way, and as before afterwards.

    On the CPU that is oneDNN's, where the default is MKL's: as exact on most processors, and twice as fast on some that
    are not Intel's. Where the processor (AMX) or the GPU multiplies shorter numbers in hardware, factors are rounded to
    8 or 11 bits, far less than the noise added in training. Not for answers that are compared.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
