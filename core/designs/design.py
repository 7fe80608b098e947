"""What sets one accounting design apart from another, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ObjcgVersion:
    """What one version of the obj_cgroup code does; `core.designs.objcg` says which versions there are.

    carries_bytes: an overflowing byte stock keeps the remainder, else it is emptied.
    caches_stat: statistics gather in the byte stock until they exceed a page.
    rstat: statistics reach the ancestors without atomics.
    drain_to_stock, refill_to_stock: whole pages of a drained or an overflowing byte stock go to the page stock.
    tryget_per_alloc: an allocation takes and drops a reference besides the object's own.
    css_get_per_uncharge: uncharging whole pages takes and drops a css reference.
    skips_root: pages of an obj_cgroup reparented to the root are not uncharged from the root's counter.
    """

    carries_bytes: bool
    caches_stat: bool
    rstat: bool
    drain_to_stock: bool
    refill_to_stock: bool
    tryget_per_alloc: bool
    css_get_per_uncharge: bool
    skips_root: bool


@dataclass(frozen=True, kw_only=True)
class Design:
    """Traits of one way to charge slab memory to memcgs; the simulation reads them and never a design's name.

    name: key in `DESIGNS` and value of the `design` axis.
    essence: one line for tables.
    source: kernel functions with version, or the message that proposed it.
    accounts: slab memory is charged to memcgs at all.
    per_memcg_caches: each memcg has its own kmem_caches, hence its own slabs; else slabs are shared by all.
    slab_pins: what one charged slab page (or object) keeps alive after offline.
    reuses_dead: a new cgroup takes over a dead memcg of its parent, with its caches and its charges.
    charges: unit of a charge: whole slabs ('pages'), or an object's bytes ('bytes').
    cache_ref: reference on the memcg's kmem_cache taken per slab charge and dropped per slab uncharge.
    page_ref: every charged slab page holds a css reference until it is uncharged.
    lists_pages: charged slab pages are linked on a locked list.
    reparents: what is handed to the parent at offline.
    stock_slots: memcgs that one CPU's stock caches at once.
    objcg_version: from `Point.objcg_as_of` to what the obj_cgroup code did; designs that charge bytes only.
    """

    name: str
    essence: str
    source: str
    accounts: bool = True
    per_memcg_caches: bool
    slab_pins: Literal["memcg", "kmem_cache", "nothing"]
    reuses_dead: bool = False
    charges: Literal["nothing", "pages", "bytes"]
    cache_ref: Literal["none", "atomic", "percpu"] = "none"
    page_ref: bool = False
    lists_pages: bool = False
    reparents: Literal["nothing", "kmem_caches", "pages", "objcgs"] = "nothing"
    stock_slots: int = 1
    objcg_version: Callable[[str], ObjcgVersion] | None = None
