"""One text, as the command line and as Python say it."""

import pytest

from cellmark.schemas.spoken import in_flags, in_python


@pytest.mark.parametrize(
    ("text", "python", "flags"),
    [
        ("Name it with --layer (layer= in Python).", "Name it with layer=.", "Name it with --layer."),
        ("--layer log (layer='log' in Python), or X", "layer='log', or X", "--layer log, or X"),
        ("or omit --donor to split", "or omit donor= to split", None),
        ("Lower --min-cells.", "Lower min_cells=.", None),
        ("--label 'a' or --label 'b c'.", "label='a' or label='b c'.", None),
        ("--min-cells 2.", "min_cells=2.", None),
        ("Use --device cpu, or", "Use device='cpu', or", None),
        ("--library-size total_counts.", "library_size='total_counts'.", None),
        ("--library-size OBS_COLUMN (library_size in Python and JSON)", "library_size", "--library-size OBS_COLUMN"),
        ("--size OBS_COLUMN, size= in Python, size in JSON.", "size=.", "--size OBS_COLUMN."),
        ("--to with annotate, explain and validate, to=True in Python and over HTTP.", "to=True.",
         "--to with annotate, explain and validate."),
        ("--recover-counts (recover_counts=True) helps", "recover_counts=True helps", "--recover-counts helps"),
        ("lower (--above)", "lower (above=)", None),
        ("--jobs (CELLMARK_JOBS)", "jobs= (CELLMARK_JOBS)", None),
        ("Run `cellmark train x --label y`.", "Run `cellmark train x --label y`.", None),
        ("Register: cellmark bundle register b --name n", "Register: cellmark bundle register b --name n", None),
        ("Copy it. On the command line --trusted reads it.", "Copy it.", None),
        ("curl -F file=@x", "curl -F file=@x", None),
    ],
)  # fmt: skip
def test_each_door_names_its_own(text: str, python: str, flags: str | None) -> None:
    assert in_python(text) == python
    assert in_flags(text) == (text if flags is None else flags)
