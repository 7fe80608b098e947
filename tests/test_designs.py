"""The registry of designs: each is whole, and mixes that no kernel could be built with are refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from core.designs import DESIGNS

LEAST_APART = 60.0  # of two colours, by the weighted distance below; hues that a table can be read by


def apart(one: str, other: str) -> float:
    """Distance of two colours as the eye weighs red, green and blue ('redmean')."""
    (r, g, b), (s, h, c) = ([int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in (one, other))
    mean = (r + s) / 2
    return float(((2 + mean / 256) * (r - s) ** 2 + 4 * (g - h) ** 2 + (2 + (255 - mean) / 256) * (b - c) ** 2) ** 0.5)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_is_known_by_its_own_name(name):
    """Key, name and file are one."""
    assert DESIGNS[name].name == name


@pytest.mark.parametrize(("one", "other"), list(combinations(DESIGNS, 2)))
def test_colours_are_told_apart(one, other):
    """No two designs look alike."""
    assert apart(DESIGNS[one].colour, DESIGNS[other].colour) >= LEAST_APART


@pytest.mark.parametrize(
    ("name", "traits", "rule"),
    [
        ("page_ref", {"accounts": False}, "what accounts charges something"),
        ("unaccounted", {"slab_pins": "memcg"}, "pins nothing"),
        ("unaccounted", {"per_memcg_caches": True}, "no caches of a memcg"),
        ("objcg", {"objcg_version": None}, "charges of bytes have versions"),
        ("page_ref", {"objcg_version": DESIGNS["objcg"].objcg_version}, "charges of bytes have versions"),
        ("objcg", {"page_ref": True}, "belong to charged pages"),
        ("objcg", {"cache_ref": "percpu"}, "belong to charged pages"),
        ("page_ref", {"per_memcg_caches": False, "cache_ref": "atomic"}, "need caches of a memcg"),
        ("objcg", {"slab_pins": "kmem_cache"}, "pinned kmem_caches"),
        ("objcg", {"reparents": "kmem_caches"}, "reparented kmem_caches"),
        ("reparent_percpu", {"reparents": "pages"}, "reparented pages are listed"),
        ("reparent_percpu", {"reparents": "objcgs"}, "reparented objcgs"),
        ("page_ref", {"reparents": "kmem_caches"}, "no longer pins the memcg"),
        ("reparent_percpu", {"page_ref": True}, "pins the memcg until it moves"),
        ("reparent_percpu", {"reuses_dead": True}, "takes over dead memcgs"),
        ("page_ref", {"objcg_per_node": True}, "charged by bytes"),
        ("objcg", {"stock_slots": 0}, "caches a memcg at least"),
        ("objcg", {"colour": "green"}, "#rrggbb"),
        ("objcg", {"name": "not one"}, "identifier"),
        ("objcg", {"source": ""}, "say something"),
    ],
)
def test_nonsense_is_refused(name, traits, rule):
    """Each rule is broken by one mix, and named."""
    with pytest.raises(ValueError, match=rule):
        replace(DESIGNS[name], **traits)
