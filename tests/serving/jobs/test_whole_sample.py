"""Jobs judged as one sample: whatever the shards, the calls of the whole input."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.jobs.score_job import _table
from cellmark.serving.jobs.whole_sample import rules_of_shard, settled
from cellmark.serving.scoring.call_options import AS_A_SAMPLE, PLAIN_CALLS, CallOptions
from cellmark.serving.scoring.calls_frame import calls_frame
from cellmark.serving.scoring.score import score
from fixtures.shifted_model import SHIFT, shifted_model

ONTOLOGY = {
    "version": "made",
    "probability": 0.9,
    "terms": [{"name": "lymphocyte", "ontology_id": "CL:0000542", "cell_types": ["NK cell", "T cell"]}],
}


def of_shards(annotator: Annotator, cells: ad.AnnData, options: CallOptions) -> pd.DataFrame:
    rules, tables = annotator.rules(), []
    for start, stop in ((0, 50), (50, 70), (70, cells.n_obs)):
        checked = annotator.check(cells[start:stop])
        own = rules_of_shard(rules, options, stop - start)
        calls = score(checked, annotator.session, rules=own)
        tables.append(_table(calls_frame(calls, checked.cell_ids, annotator.cell_types, own)))
    table, shift = settled(pa.concat_tables(tables), rules, options, annotator.cell_types)
    assert (shift is not None) == (options.as_sample and rules.sample_shift is not None)
    frame: pd.DataFrame = table.to_pandas().set_index("cell_id")
    return frame


@pytest.mark.parametrize("options", [AS_A_SAMPLE, PLAIN_CALLS], ids=["sample", "cells"])
@pytest.mark.parametrize("refused", [0.3, 0.8, None], ids=["shifted", "foreign", "old"])
def test_shards_give_the_calls_of_the_whole_input(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path, options: CallOptions, refused: float | None
) -> None:
    folder = tiny_bundle.folder
    if refused is not None:
        folder = shifted_model(
            tiny_bundle,
            tmp_path / "bundle",
            new_cells,
            shift=4.0 if refused == 0.8 else SHIFT,
            refused=refused,
            ontology=ONTOLOGY,
        )
    annotator = Annotator.load(folder)
    found = of_shards(annotator, new_cells, options)
    expected = annotator.annotate(new_cells, as_sample=options.as_sample)
    assert list(found) == list(expected)
    for name in expected:
        if pd.api.types.is_float_dtype(expected[name].dtype):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
        else:
            column = expected[name].astype(object).where(expected[name].notna(), None)
            assert found[name].where(found[name].notna(), None).tolist() == column.tolist(), name
