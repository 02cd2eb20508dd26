"""The bundle: one folder that is a model, verified before anything of it is loaded."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import BundleError, ModelError
from .genes.gene_panel import GenePanel
from .genes.panel_evidence import PanelEvidence
from .genes.panel_fraction import PanelFraction
from .manifest.bundle_files import ATTRIBUTION_SHARE, EXPECTATIONS, GENES, MARKERS, content_error, verify_folder
from .manifest.expectations_format import library_size_range, parse_expectations
from .manifest.manifest import Manifest
from .near_names import given_as, near_names


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. Make one with `Bundle.open`; constructing it directly verifies nothing.

    Parameters
    ----------
    folder
        Where its files lie.
    manifest
        What `manifest.json` in it says.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Bundle":
        """The bundle in `folder`, all its digests verified.

        Raises `ModelError` (`MODEL_UNKNOWN`) when there is no such folder and `BundleError` when anything differs from
        the manifest: a byte of any file (the manifest included), a file too many or missing, an unknown format
        version, a path or link that leads out of the folder.
        """
        root = Path(folder)
        if not os.path.isdir(root):  # Path.is_dir raises for a folder that may not be looked into
            raise ModelError.of(
                "MODEL_UNKNOWN",
                where=str(root),
                expected="a bundle folder or a models:/ URI",
                found="no such folder",
                remedy="Check the path, or list registered models with `cellmark models list`.",
            )
        return cls(root, verify_folder(root))

    def path(self, name: str) -> Path:
        """Where a file of the bundle lies."""
        return self.folder / name

    @property
    def digest(self) -> str:
        return self.manifest.bundle_digest

    @cached_property
    def genes(self) -> pd.DataFrame:
        """One row per gene of the panel, in the order of the graphs' inputs. Raises `BundleError` on another file."""
        genes = _read_table(self.path(GENES))
        if not {"gene_symbol", "baseline"} <= set(genes.columns) or not genes["gene_symbol"].is_unique:
            raise content_error(GENES, "gene_symbol, each once, and baseline", "other columns or repeated genes")
        return genes

    @cached_property
    def markers(self) -> pd.DataFrame:
        """The marker table, columns as in `manifest/marker_table.py`. Raises `BundleError` on another file."""
        return _read_table(self.path(MARKERS))

    @cached_property
    def panel(self) -> GenePanel:
        """The gene panel. Raises `BundleError` when it is not the one that the manifest names."""
        ids = self.genes["gene_id"] if "gene_id" in self.genes.columns else None
        panel = GenePanel(
            tuple(self.genes["gene_symbol"]),
            None if ids is None else tuple(text if isinstance(text, str) else None for text in ids),
            self.manifest.organism,
            self._evidence(),
            as_named=self.manifest.imported is not None,
        )
        if panel.digest != self.manifest.panel.digest:
            raise content_error(GENES, "the panel that the manifest names", "other genes, or another order")
        return panel

    def _evidence(self) -> PanelEvidence | None:
        """What each gene carries; None for a bundle of an earlier version, which does not tell."""
        names = [ATTRIBUTION_SHARE, *(f"{ATTRIBUTION_SHARE}:{name}" for name in self.manifest.cell_type_names)]
        if not set(names) <= set(self.genes.columns):
            return None
        try:
            shares = self.genes[names].to_numpy(dtype=np.float64).T
        except (TypeError, ValueError) as error:
            raise content_error(GENES, "attribution shares that are numbers", str(error)) from error
        if not (np.isfinite(shares).all() and (shares >= 0).all()):
            raise content_error(GENES, "attribution shares of at least 0", "other values")
        if shares[0].sum() == 0:
            return None
        floors = self.manifest.panel.overlap
        return PanelEvidence(
            shares[0],
            shares[1:],
            self.manifest.cell_type_names,
            floors.min_mass if floors is not None else None,
            floors.min_type_mass if floors is not None else None,
        )

    @cached_property
    def expectations(self) -> dict[str, Any]:
        """The Great Expectations suites, as `schemas/quality/expectations.py` writes them. Raises `BundleError`."""
        try:
            loaded: dict[str, Any] = json.loads(self.path(EXPECTATIONS).read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise content_error(EXPECTATIONS, "JSON", str(error)) from error
        return loaded

    @cached_property
    def library_size_range(self) -> tuple[float, float] | None:
        """Where library sizes of training cells lie; None where the expectations do not say."""
        try:
            return library_size_range(parse_expectations(self.expectations))
        except BundleError:  # comparing an input with them reports it; calls do not need them
            return None

    @cached_property
    def panel_fraction(self) -> PanelFraction | None:
        """What the panel's genes have of a library; None where training did not say."""
        median = self.manifest.panel.library_fraction
        if median is None:
            return None
        return PanelFraction(median, np.expm1(self.genes["baseline"].to_numpy(np.float64)))

    def check_cell_type(self, cell_type: str, *, where: str = "cell_type") -> int:
        """Number of a cell type among the graphs' outputs. Raises `ModelError` when the model has no such type."""
        names = self.manifest.cell_type_names
        if cell_type not in names:
            near, flag = near_names(cell_type, names), f"--{where.replace('_', '-')}"
            raise ModelError.of(
                "CELL_TYPE_UNKNOWN",
                where=where,
                expected="one of the model's cell types",
                found=repr(cell_type),
                remedy=f"Did you mean {given_as(flag, near)}? All types: {', '.join(names)}."
                if near
                else f"Name one of them: {', '.join(names)}.",
            )
        return names.index(cell_type)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are kinds of these
        raise content_error(path.name, "a Parquet table", str(error).splitlines()[0]) from error


def read_optional_table(bundle: Bundle, name: str) -> pd.DataFrame | None:
    """A table that not every bundle has, None where there is none. Raises `BundleError` on another file."""
    return _read_table(bundle.path(name)) if name in bundle.manifest.files else None
