"""Sessions: the self-test at every load, one runtime, no silent CPU, many threads."""

import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError, ParameterError, SetupError
from cellmark.schemas.manifest.bundle_files import ANNOTATOR, EXPLAINER, GOLDEN_CELLS, write_manifest
from cellmark.schemas.manifest.manifest import MANIFEST_NAME
from cellmark.serving.scoring.session import ModelSession, check_runtime


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def sealed(folder: Path) -> Bundle:
    """The folder as a bundle again, after someone changed a file and made all digests right."""
    raw: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_bytes())
    write_manifest(folder, {key: value for key, value in raw.items() if key != "files"})
    return Bundle.open(folder)


def change_golden(folder: Path, **changes: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(folder / GOLDEN_CELLS) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(folder / GOLDEN_CELLS, **arrays)


def change_graph(folder: Path, name: str, constant: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    model = onnx.load(folder / name)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == constant]
    tensor.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(tensor)), constant))
    onnx.save(model, folder / name)


def test_a_bundle_passes_its_own_self_test(tiny_bundle: Bundle) -> None:
    ModelSession(tiny_bundle).self_test()


@pytest.mark.parametrize("array", ["probabilities", "attributions", "library_size", "data"])
def test_other_golden_cells_are_refused_though_all_digests_are_right(folder: Path, array: str) -> None:
    change_golden(folder, **{array: lambda values: values * np.float32(1.02)})
    bundle = sealed(folder)
    with pytest.raises(ModelError, match="GOLDEN_CELLS_MISMATCH"):
        ModelSession(bundle)
    ModelSession(bundle, self_test=False)


@pytest.mark.parametrize(("name", "constant"), [(ANNOTATOR, "m0_logits_weight"), (EXPLAINER, "m0_z0_weight")])
def test_another_graph_is_refused_though_all_digests_are_right(folder: Path, name: str, constant: str) -> None:
    change_graph(folder, name, constant, lambda values: values * np.float32(1.05))
    with pytest.raises(ModelError, match="GOLDEN_CELLS_MISMATCH"):
        ModelSession(sealed(folder))


@pytest.mark.parametrize("name", [ANNOTATOR, EXPLAINER])
def test_a_file_that_is_no_graph_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="BUNDLE_CONTENT_INVALID") as caught:
        ModelSession(sealed(folder))
    assert caught.value.findings[0].where == name


def test_a_graph_without_an_output_of_format_1_is_refused(folder: Path) -> None:
    model = onnx.load(folder / ANNOTATOR)
    (energy,) = [output for output in model.graph.output if output.name == "energy"]
    model.graph.output.remove(energy)
    onnx.save(model, folder / ANNOTATOR)
    with pytest.raises(ModelError, match="energy"):
        ModelSession(sealed(folder))


def test_a_graph_of_other_genes_than_the_panel_is_refused(folder: Path) -> None:
    model = onnx.load(folder / ANNOTATOR)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "genes"
    onnx.save(model, folder / ANNOTATOR)
    with pytest.raises(ModelError, match="BUNDLE_CONTENT_INVALID"):
        ModelSession(sealed(folder))


def test_an_output_added_by_a_later_version_is_handed_on(folder: Path) -> None:
    model = onnx.load(folder / ANNOTATOR)
    model.graph.node.append(onnx.helper.make_node("Identity", ["energy"], ["later"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("later", onnx.TensorProto.FLOAT, ["cells"]))
    onnx.save(model, folder / ANNOTATOR)
    session = ModelSession(sealed(folder))
    counts = np.ones((2, len(session.bundle.panel)), dtype=np.float32)
    outputs = session.annotate(counts, np.full(2, 500, dtype=np.float32))
    np.testing.assert_array_equal(outputs["later"], outputs["energy"])


def test_cuda_that_is_asked_for_and_not_there_is_an_error(tiny_bundle: Bundle) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(SetupError) as caught:
        ModelSession(tiny_bundle, device="cuda")
    assert caught.value.code == "DEVICE_UNAVAILABLE"


@pytest.mark.gpu
def test_cuda_passes_the_self_test(tiny_bundle: Bundle) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA")
    ModelSession(tiny_bundle, device="cuda").self_test()


@pytest.mark.parametrize("settings", [{"device": "gpu"}, {"device": "CPU"}, {"threads": -1}])
def test_settings_that_cannot_be_are_refused(tiny_bundle: Bundle, settings: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(settings))):
        ModelSession(tiny_bundle, **settings)


def install(folder: Path, *names: str) -> None:
    """Distributions as pip would leave their metadata."""
    for name in names:
        info = folder / f"{name.replace('-', '_')}-1.22.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.22.0\n")


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_the_one_runtime_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(tmp_path, name, "numpy")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert check_runtime() == name


@pytest.mark.parametrize(
    ("names", "code"), [((), "RUNTIME_MISSING"), (("onnxruntime", "onnxruntime-gpu"), "RUNTIME_CONFLICT")]
)
def test_no_runtime_or_both_are_refused(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], code: str
) -> None:
    install(tmp_path, *names)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(SetupError) as caught:
        ModelSession(tiny_bundle)
    assert caught.value.code == code
    assert "pip install" in caught.value.findings[0].remedy or "pip uninstall" in caught.value.findings[0].remedy


def test_one_session_serves_many_threads(tiny_bundle: Bundle) -> None:
    session = ModelSession(tiny_bundle, self_test=False)
    generator = np.random.default_rng(0)
    n_genes, n_types = len(tiny_bundle.panel), len(tiny_bundle.manifest.cell_types)
    inputs = [generator.poisson(2, (generator.integers(1, 30), n_genes)).astype(np.float32) for _ in range(64)]

    def answer(counts: np.ndarray) -> list[np.ndarray]:
        sizes = counts.sum(axis=1) + 100
        target = np.eye(n_types, dtype=np.float32)[np.arange(len(counts)) % n_types]
        return [*session.annotate(counts, sizes).values(), *session.explain(counts, sizes, target)]

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(answer, inputs))
    for counts, ours in zip(inputs, together, strict=True):
        for one, other in zip(ours, answer(counts), strict=True):
            np.testing.assert_array_equal(one, other)


def test_threads_of_the_runtime_do_not_change_answers(tiny_bundle: Bundle) -> None:
    counts = np.random.default_rng(0).poisson(2, (50, len(tiny_bundle.panel))).astype(np.float32)
    sizes = counts.sum(axis=1) + 100
    one, two = (ModelSession(tiny_bundle, threads=threads).annotate(counts, sizes) for threads in (1, 2))
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], atol=1e-6)
