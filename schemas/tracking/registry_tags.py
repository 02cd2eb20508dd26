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

FIRST_CHAMPION = "first_champion"
"""Tag of a name: the version that was its champion first. A name without it was never given one."""

# Tags of a version, written when it is given an alias.
PROMOTED_TO = "promoted_to"
PROMOTED_BY = "promoted_by"
PROMOTED_AT = "promoted_at"
PROMOTED_FROM = "promoted_from"


def until(alias: str) -> str:
    """Tag of a version that lost an alias: when."""
    return f"{alias}_until"


def replaced_by(alias: str) -> str:
    """Tag of a version that lost an alias: the version that has it since."""
    return f"{alias}_replaced_by"
