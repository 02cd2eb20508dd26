"""The CUDA path, where there is a GPU: the same calls and attributions as on the CPU, and training on it."""

from pathlib import Path

import anndata as ad
import numpy as np
import onnxruntime
import pytest
import torch

from cellmark.schemas.bundle import Bundle
from cellmark.serving.annotator import Annotator
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train

pytestmark = pytest.mark.gpu

needs_cuda_session = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers() or not torch.cuda.is_available(),
    reason="needs an NVIDIA GPU and onnxruntime-gpu",
)
needs_cuda_torch = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a CUDA torch")


@needs_cuda_session
def test_calls_and_attributions_on_cuda_are_those_of_the_cpu(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    cpu = Annotator.load(tiny_bundle.folder)
    cuda = Annotator.load(tiny_bundle.folder, device="cuda")
    expected = cpu.annotate(new_cells, probabilities=True).filter(like="probability:")
    found = cuda.annotate(new_cells, probabilities=True).filter(like="probability:")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    why, why_cuda = cpu.explain(new_cells, top=3), cuda.explain(new_cells, top=3)
    np.testing.assert_allclose(why_cuda["attribution"].abs(), why["attribution"].abs(), atol=1e-3)


@needs_cuda_torch
def test_training_on_cuda_passes_the_proofs_of_the_export(tiny_file: Path, tmp_path: Path) -> None:
    model = train(TrainingConfig(data=tiny_file, device="cuda"), tmp_path / "bundle", Listener())
    assert model.manifest.metrics["test"]["macro_f1"] > 0.9
