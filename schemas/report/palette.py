"""Twenty colours of cell types, the same on paper and on the page."""

COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#7A4E1D", "#87E178", "#A587FF",
    "#FF3C69", "#B40F96", "#B4D2A5", "#00E1E1", "#69784B", "#C3964B", "#871E3C", "#5A3C78", "#D2D24B", "#1E5A69",
)  # fmt: skip
"""Okabe and Ito without black and yellow, indigo of Tol, brown; then twelve, each as far from those before it as CIELAB
has one, also as seen with protanopia, deuteranopia and tritanopia. The first eight are the most distinct.
"""
