"""What the headers of a table say: columns that name or describe genes and cells, that measure, that number rows."""

import re
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GENE_NAMES = _words(
    "gene genes gene_id gene_ids geneid gene_name gene_names genename gene_symbol gene_symbols symbol symbols feature "
    "features feature_id feature_name ensembl ensembl_id ensembl_gene ensembl_gene_id ensgene gene_short_name "
    "hgnc_symbol mgi_symbol external_gene_name target_id transcript"
)
"""Headers, as `plain_header` writes them, of a column of genes."""
CELL_NAMES = _words(
    "cell cells cell_id cell_ids cellid cell_name cell_names cell_index cell_barcode cell_barcodes cellbarcode barcode "
    "barcodes cb obs_names bc_wells"
)
ONLY_OF_GENES = _words(
    "chr chrom chromosome chromosome_name seqname seqnames strand gene_length exon_length exonic_length "
    "transcript_length effective_length effectivelength eff_length gene_biotype biotype transcript_id transcript_ids "
    "transcript_id_s entrez entrez_id entrezid entrezgene entrezgene_id entrez_gene_id gene_type gene_description "
    "hgnc_id gc_content refseq start_position end_position gene_start gene_end gene_name gene_names gene_symbol "
    "gene_symbols gene_id geneid ensembl_gene_id external_gene_name gene_short_name hgnc_symbol mgi_symbol symbol"
)
"""What only a table with genes as rows has a column of."""
GENE_COLUMNS = (
    GENE_NAMES
    | ONLY_OF_GENES
    | _words(
        "start end stop length len width description type class gc locus source accession coordinates name n_cells"
    )
)
MEASURES = _words(
    "count counts umi umis umi_count umi_counts n_umi n_umis read reads n_reads numreads num_reads read_count "
    "read_counts molecules raw_molecules rsec_reads rsec_adjusted_molecules dbec_reads dbec_adjusted_molecules "
    "expected_count est_counts tpm fpkm rpkm cpm isopct iso_pct posterior_mean_count value values expression basemean "
    "base_mean log2foldchange log2_fold_change lfcse lfc_se pvalue p_value padj total sum mean"
)
"""What a column measures that is no single cell's."""
COUNTS = (
    "rsec_adjusted_molecules", "dbec_adjusted_molecules", "molecules", "raw_molecules", "umi_count", "umi_counts",
    "n_umi", "n_umis", "umis", "umi", "count", "counts", "n", "value", "values", "x", "expression",
    "expected_count", "read_count", "read_counts", "n_reads", "reads", "read",
)  # fmt: skip
"""Counts of a table in long form, the best first."""
OBS_COLUMNS = CELL_NAMES | _words(
    "cell_type cell_types celltype celltypes label labels cluster clusters seurat_clusters leiden louvain annotation "
    "donor donor_id sample sample_id sample_name samples batch tissue organ condition disease disease_status diagnosis "
    "patient patient_id subject subject_id individual sex gender age phase stage treatment group orig_ident plate "
    "plate_id well species organism class subclass type region assay library lane ident genotype strain time timepoint "
    "site fov center_x center_y center_z x_centroid y_centroid z_centroid cell_area nucleus_area area volume"
)
"""Columns that describe cells, which are no genes even when their values are numbers."""
INDEX = re.compile(r"|index|level_\d|x|row_?names?|unnamed_\d+")
"""What pandas and R call a column that numbers the rows."""


@lru_cache(maxsize=2**16)
def plain_header(name: str) -> str:
    """A header in lower case, its words joined by `_`: `Gene Symbol`, `gene.symbol`, `GeneSymbol` are `gene_symbol`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
