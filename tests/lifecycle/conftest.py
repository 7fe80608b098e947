"""Helpers of this folder, and `reference`, are imported by name."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "lifecycle"), str(TESTS / "charge"), str(TESTS)]
