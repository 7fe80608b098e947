"""One colour per design, the same in tables and charts, told apart by the colour-blind too (after Okabe and Ito)."""

from core.designs import DESIGNS

COLORS = ("#8c8c8c", "#d55e00", "#cc79a7", "#e69f00", "#a6761d", "#8f6bd6", "#009e73", "#3ea6e0")


def color(design: str) -> str:
    """The colour of a design by its place in the registry; grey where the registry has lost it."""
    places = {name: place for place, name in enumerate(DESIGNS)}
    return COLORS[places.get(design, 0) % len(COLORS)]
