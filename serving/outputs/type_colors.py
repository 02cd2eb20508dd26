"""The colours of cell types, which are scanpy's, and where scanpy keeps them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, MAJORITY_CELL_TYPE, SECOND_CELL_TYPE, UNASSIGNED

TYPE_COLUMNS = (CELL_TYPE, BEST_CELL_TYPE, SECOND_CELL_TYPE, MAJORITY_CELL_TYPE)
UNASSIGNED_COLOR = "#d3d3d3"
"""Light grey, scanpy's `na_color`."""
FEW = """
#1f77b4 #ff7f0e #279e68 #d62728 #aa40fc #8c564b #e377c2 #b5bd61 #17becf #aec7e8
#ffbb78 #98df8a #ff9896 #c5b0d5 #c49c94 #f7b6d2 #dbdb8d #9edae5 #ad494a #8c6d31
""".split()  # noqa: SIM905
"""`scanpy.plotting.palettes.default_20`: what scanpy itself gives up to twenty categories."""
MANY = """
#FFFF00 #1CE6FF #FF34FF #FF4A46 #008941 #006FA6 #A30059 #FFDBE5 #7A4900 #0000A6
#63FFAC #B79762 #004D43 #8FB0FF #997D87 #5A0007 #809693 #6A3A4C #1B4400 #4FC601
#3B5DFF #4A3B53 #FF2F80 #61615A #BA0900 #6B7900 #00C2A0 #FFAA92 #FF90C9 #B903AA
#D16100 #DDEFFF #000035 #7B4F4B #A1C299 #300018 #0AA6D8 #013349 #00846F #372101
#FFB500 #C2FFED #A079BF #CC0744 #C0B9B2 #C2FF99 #001E09 #00489C #6F0062 #0CBD66
#EEC3FF #456D75 #B77B68 #7A87A1 #788D66 #885578 #FAD09F #FF8A9A #D157A0 #BEC459
#456648 #0086ED #886F4C #34362D #B4A8BD #00A6AA #452C2C #636375 #A3C8C9 #FF913F
#938A81 #575329 #00FECF #B05B6F #8CD0FF #3B9700 #04F757 #C8A1A1 #1E6E00 #7900D7
#A77500 #6367A9 #A05837 #6B002C #772600 #D790FF #9B9700 #549E79 #FFF69F #201625
#72418F #BC23FF #99ADC0 #3A2465 #922329 #5B4534 #FDE8DC #404E55 #0089A3 #CB7E98
#A4E804 #324E72
""".split()  # noqa: SIM905
"""`scanpy.plotting.palettes.default_102`, for more."""


def type_colors(cell_types: Sequence[str]) -> dict[str, str]:
    """A colour for each of a model's types, by its place among them, so that a type keeps its colour from file to file;
    grey for `unassigned`. More than 102 types share colours.
    """
    palette = FEW if len(cell_types) <= len(FEW) else MANY
    return {
        **{name: palette[place % len(palette)] for place, name in enumerate(cell_types)},
        UNASSIGNED: UNASSIGNED_COLOR,
    }


def color_keys(columns: Sequence[str]) -> list[str]:
    """Where scanpy keeps the colours of columns in `uns`."""
    return [f"{column}_colors" for column in columns]


def color_lists(frame: pd.DataFrame, colors: Mapping[str, str]) -> dict[str, list[str]]:
    """Entries of `uns` for the columns of types in a frame of calls."""
    return {
        f"{column}_colors": [colors[name] for name in frame[column].cat.categories]
        for column in TYPE_COLUMNS
        if column in frame
    }
