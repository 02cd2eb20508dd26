"""A bundle's two graphs in onnxruntime, tested against the golden cells before anything is answered."""

import importlib.metadata
import threading
from typing import Any, Literal

import numpy as np

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError, ParameterError, SetupError
from cellmark.schemas.golden_cells import compare_golden, compare_names, read_golden
from cellmark.schemas.manifest.bundle_files import ANNOTATOR, DISTILLED, EXPLAINER
from cellmark.schemas.normalization import dense_counts
from cellmark.schemas.telemetry import refuse_telemetry

Device = Literal["cpu", "cuda"]
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    # TensorFloat-32, the default of newer GPUs, has three decimal digits: too few for the self-test.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
OUTPUTS = ("logits", "probabilities", "energy", "embedding")
"""Outputs of the annotator in format 1; later versions may have more."""


class ModelSession:
    """The graphs of a bundle, ready to answer. Safe to call from many threads.

    `threads`: of onnxruntime within one call; 0 takes all cores. One is best where chunks or requests already run side
    by side; more help a single large call. Raises `ParameterError` on an unknown device, `SetupError` when the device
    cannot be used (there is no fallback to the CPU) or not exactly one onnxruntime is installed, and `ModelError`
    (`GOLDEN_CELLS_MISMATCH`) when the self-test fails. `distilled`: answer with the bundle's second, smaller annotator;
    the self-test is that of the whole model, and explanations stay those of the ensemble.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: Device = "cpu",
        threads: int = 1,
        self_test: bool = True,
        distilled: bool = False,
    ) -> None:
        check_settings(device, threads)
        check_runtime()
        self.bundle = bundle
        self.device = device
        self.distilled = distilled
        self._threads = threads
        self._lock = threading.Lock()
        self._annotator = _open_graph(bundle, ANNOTATOR, device, threads)
        self._explainer: Any = None
        panel_size, n_types = len(bundle.panel), len(bundle.manifest.cell_types)
        shape = [value.shape[1] for value in self._annotator.get_inputs() if value.name == "counts"]
        outputs = {value.name: value.shape for value in self._annotator.get_outputs()}
        if shape != [panel_size] or not set(OUTPUTS) <= set(outputs) or outputs["probabilities"][1] != n_types:
            raise ModelError.of(
                "BUNDLE_CONTENT_INVALID",
                where=ANNOTATOR,
                expected=f"{panel_size} genes, {n_types} types and {', '.join(OUTPUTS)}, as the manifest and format 1",
                found=f"a graph of {shape} genes that gives {', '.join(outputs)}",
                remedy="Fetch or export the bundle again.",
            )
        self.output_names = tuple(outputs)
        if self_test:
            self.self_test()
        if distilled:
            self._annotator = _open_graph(bundle, _distilled(bundle), device, threads)

    def annotate(self, counts: np.ndarray, library_size: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the annotator by name.

        `counts`: float32, cells x panel genes, NaN where not measured; `library_size`: [cells].
        """
        values = self._annotator.run(
            list(self.output_names), {"counts": counts, "library_size": library_size.reshape(-1, 1)}
        )
        return dict(zip(self.output_names, values, strict=True))

    def explain(
        self, counts: np.ndarray, library_size: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Attributions, cells x panel genes, and convergence deltas, [cells]. `target`: float32, cells x types."""
        attributions, delta = self._explainer_session().run(
            ["attributions", "convergence_delta"],
            {"counts": counts, "library_size": library_size.reshape(-1, 1), "target": target},
        )
        return attributions, delta

    def self_test(self) -> None:
        """Run the golden cells through both graphs. Raises `ModelError` when they give other numbers than at export."""
        golden = read_golden(self.bundle)
        compare_names(golden, self.bundle.manifest.cell_type_names)
        counts = dense_counts(golden.counts, np.ones(golden.counts.shape[1], dtype=bool))
        probabilities = self.annotate(counts, golden.library_size)["probabilities"]
        target = np.eye(probabilities.shape[1], dtype=np.float32)[golden.probabilities.argmax(axis=1)]
        attributions, _ = self.explain(counts, golden.library_size, target)
        compare_golden(golden, probabilities, attributions)

    def _explainer_session(self) -> Any:
        with self._lock:
            if self._explainer is None:
                self._explainer = _open_graph(self.bundle, EXPLAINER, self.device, self._threads)
            return self._explainer


def check_settings(device: str, threads: int) -> None:
    """Raise `ParameterError` on a device or a number of threads that cannot be."""
    if device not in PROVIDERS:
        raise ParameterError.not_a_choice("device", choices=" or ".join(PROVIDERS), found=repr(device))
    if threads < 0:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="threads",
            expected="0 or more",
            found=str(threads),
            remedy="0 takes all cores, 1 is a good start.",
        )


def check_runtime() -> str:
    """Name of the one onnxruntime distribution that is installed. Raises `SetupError` for none or several.

    The CPU and the GPU build share one folder: with both installed the GPU providers vanish without a word.
    """
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            importlib.metadata.version(name)
            found.append(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if not found:
        raise SetupError.of(
            "RUNTIME_MISSING",
            where="onnxruntime",
            expected="onnxruntime or onnxruntime-gpu",
            found="neither",
            remedy="pip install 'cellmark[cpu]', or 'cellmark[gpu]' on a machine with an NVIDIA GPU.",
        )
    if len(found) > 1:
        raise SetupError.of(
            "RUNTIME_CONFLICT",
            where="onnxruntime",
            expected="one of onnxruntime and onnxruntime-gpu",
            found="both, in one folder",
            remedy="pip uninstall -y onnxruntime onnxruntime-gpu, then install 'cellmark[cpu]' or 'cellmark[gpu]'.",
        )
    return found[0]


def _distilled(bundle: Bundle) -> str:
    if DISTILLED not in bundle.manifest.files:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="distilled",
            expected=f"a model with {DISTILLED}",
            found="a model without a second annotator",
            remedy="Train with --distill, or omit --distilled.",
        )
    return DISTILLED


def _open_graph(bundle: Bundle, name: str, device: Device, threads: int) -> Any:
    refuse_telemetry()
    import onnxruntime as ort

    if device == "cuda" and hasattr(ort, "preload_dlls"):
        # Without torch in the process nobody else finds the CUDA libraries that pip installed.
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted, settings = PROVIDERS[device]
    try:
        session = ort.InferenceSession(str(bundle.path(name)), options, providers=[(wanted, settings)])
    except Exception as error:
        # onnxruntime raises types of its own that it does not export; all mean that the graph cannot be loaded.
        raise ModelError.of(
            "BUNDLE_CONTENT_INVALID",
            where=name,
            expected="a graph that onnxruntime loads",
            found=str(error).splitlines()[0],
            remedy="Fetch or export the bundle again.",
        ) from error
    if wanted not in session.get_providers():
        raise SetupError.of(
            "DEVICE_UNAVAILABLE",
            where="device",
            expected=f"a working {device} device",
            found=f"only {session.get_providers()}",
            remedy="Use --device cpu, or install 'cellmark[gpu]' on a machine with an NVIDIA GPU and its driver.",
        )
    return session
