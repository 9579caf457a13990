"""The sizes and the grey that pictures, labels and the network agree on."""

WIDTH, HEIGHT = 400, 300
"""Of a training picture, px."""
PADDING = 114
"""The grey beside a picture of another shape."""
STRIDE = 4
"""Px of the network's input for each cell of its answer, across and down."""
