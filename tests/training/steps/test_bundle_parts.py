"""What the files of a bundle hold."""

import numpy as np

from cellmark.training.steps.write_bundle import genes_frame


def test_genes_frame_has_a_row_per_gene_and_a_column_per_type() -> None:
    frame = genes_frame(
        gene_symbols=["A", "B"], gene_ids=["ENSG1", None], baselines=np.array([0.5, 1.0]),
        mean_expression=np.array([0.1, 0.2]), fraction_expressing=np.array([0.3, 0.4]),
        attribution_share=np.array([0.75, 0.25]), attribution_share_per_type=np.array([[0.6, 0.4], [0.9, 0.1]]),
        cell_types=["T", "NK"],
    )  # fmt: skip
    assert frame["gene_id"].isna().tolist() == [False, True]
    assert frame["baseline"].dtype == np.float32
    assert frame["attribution_share:NK"].tolist() == [0.9, 0.1]
    assert len(frame) == 2
