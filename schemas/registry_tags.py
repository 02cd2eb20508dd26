"""Names that training writes into MLflow's registry and serving reads from it."""

CHAMPION = "champion"
CHALLENGER = "challenger"

BUNDLE_FOLDER = "bundle"
"""Subfolder of a version's artifacts that is the bundle."""

# Tags of a version, written when it is registered.
BUNDLE_DIGEST = "bundle_digest"
MANIFEST_DIGEST = "manifest_digest"
TRAINING_DATA_DIGEST = "training_data_digest"
TEST_ACCURACY = "test_accuracy"
TEST_MACRO_F1 = "test_macro_f1"
N_CELL_TYPES = "n_cell_types"
CELLMARK_VERSION = "cellmark_version"

# Tags of a version, written when an alias moves.
PROMOTED_BY = "promoted_by"
PROMOTED_AT = "promoted_at"
PROMOTED_FROM = "promoted_from"
CHAMPION_UNTIL = "champion_until"
REPLACED_BY = "champion_replaced_by"
