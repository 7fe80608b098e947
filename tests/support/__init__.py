"""What tests of more than one room share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
FIGURES = CONF / "figures"
