"""One colour per design, the same in tables and charts."""

from core.designs import DESIGNS

UNREGISTERED = "#8c8c8c"  # of a design that the registry no longer knows


def color(design: str) -> str:
    """The colour of a design; grey where the registry has lost it."""
    return DESIGNS[design].colour if design in DESIGNS else UNREGISTERED
