"""What sets one accounting design apart from another, as data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from core.keys import key, record

_ALL = ("charge", "price", "lifecycle")


class ObjcgVersion(NamedTuple):
    """What one version of the obj_cgroup code does; `core.designs.objcg` says which versions there are.

    carries_bytes: an overflowing byte stock keeps the remainder, else it is emptied.
    caches_stat: statistics gather in the byte stock until they exceed a page.
    rstat: statistics reach the ancestors without atomics.
    drain_to_stock, refill_to_stock: whole pages of a drained or an overflowing byte stock go to the page stock.
    tryget_per_alloc: an allocation takes and drops a reference besides the object's own.
    css_get_per_uncharge: uncharging whole pages takes and drops a css reference.
    skips_root: pages of an obj_cgroup reparented to the root are not uncharged from the root's counter.
    byte_slots: obj_cgroups that one CPU's byte stock caches at once; a full one gives up its slots in turn.
    per_node: a byte stock tells the obj_cgroups of a memcg's nodes apart.
    """

    carries_bytes: bool
    caches_stat: bool
    rstat: bool
    drain_to_stock: bool
    refill_to_stock: bool
    tryget_per_alloc: bool
    css_get_per_uncharge: bool
    skips_root: bool
    byte_slots: int = 1
    per_node: bool = False


@record("charge", "price")
class Design:
    """Traits of one way to charge slab memory to memcgs; the simulation reads them and never a design's name.

    Designs that are alike in what the lifecycle reads share one.

    name: key in `DESIGNS` and value of the `design` axis.
    colour: '#rrggbb', of tables and charts; told apart from the others' by the colour-blind too (after Okabe and Ito).
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
    stock_victim: which slot a full stock of several gives up; null: as the kernel has it.
    objcg_per_node: a memcg has an obj_cgroup for each node.
    objcg_version: from `Point.objcg_as_of` to what the obj_cgroup code did; designs that charge bytes only.
    """

    name: str = key("label")
    colour: str = key("label")
    essence: str = key("label")
    source: str = key("label")
    accounts: bool = key(*_ALL, default=True)
    per_memcg_caches: bool = key(*_ALL)
    slab_pins: Literal["memcg", "kmem_cache", "nothing"] = key("lifecycle")
    reuses_dead: bool = key(*_ALL, default=False)
    charges: Literal["nothing", "pages", "bytes"] = key(*_ALL)
    cache_ref: Literal["none", "atomic", "percpu"] = key(*_ALL, default="none")
    page_ref: bool = False
    lists_pages: bool = key(*_ALL, default=False)
    reparents: Literal["nothing", "kmem_caches", "pages", "objcgs"] = "nothing"
    stock_slots: int = 1
    stock_victim: Literal["in_turn"] | None = None
    objcg_per_node: bool = key("price", "lifecycle", default=False)
    objcg_version: Callable[[str], ObjcgVersion] | None = None

    def objcgs_of_memcg(self, nodes: int) -> int:
        """Return how many obj_cgroups a memcg of a machine of so many nodes has, where it has any."""
        return nodes if self.objcg_per_node else 1

    def __post_init__(self) -> None:
        """Raise ValueError where traits contradict one another: no kernel could be built so."""
        for rule, holds in self._rules():
            if not holds:
                raise ValueError(f"design {self.name} must not be built so: {rule}; change one of the traits")

    def _rules(self) -> tuple[tuple[str, bool], ...]:
        """Every rule that a mix of traits keeps, and whether this one does."""
        pages, moves = self.charges == "pages", self.reparents != "nothing"
        return (
            ("name is an identifier, as it is a file's", self.name.isidentifier()),
            ("colour is written #rrggbb", re.fullmatch("#[0-9a-f]{6}", self.colour) is not None),
            ("essence and source say something", bool(self.essence and self.source)),
            ("what accounts charges something, and only that", self.accounts == (self.charges != "nothing")),
            ("what does not account pins nothing", self.accounts or self.slab_pins == "nothing"),
            ("what does not account has no caches of a memcg", self.accounts or not self.per_memcg_caches),
            ("charges of bytes have versions, and only they", (self.charges == "bytes") == bool(self.objcg_version)),
            ("references of slab pages belong to charged pages", pages or not (self.page_ref or self.lists_pages)),
            ("references on caches belong to charged pages", pages or self.cache_ref == "none"),
            ("references on caches need caches of a memcg", self.per_memcg_caches or self.cache_ref == "none"),
            ("pinned kmem_caches are a memcg's", self.per_memcg_caches or self.slab_pins != "kmem_cache"),
            ("reparented kmem_caches are a memcg's", self.per_memcg_caches or self.reparents != "kmem_caches"),
            ("reparented pages are listed", self.lists_pages or self.reparents != "pages"),
            ("reparented objcgs are charged by bytes", self.charges == "bytes" or self.reparents != "objcgs"),
            ("what is reparented no longer pins the memcg", not (moves and self.slab_pins == "memcg")),
            ("a page's reference pins the memcg until it moves", self._page_refs_pin()),
            ("what takes over dead memcgs has slabs that pin them", not self.reuses_dead or self.slab_pins == "memcg"),
            ("a stock caches a memcg at least", self.stock_slots >= 1),
            ("obj_cgroups of a node are charged by bytes", self.charges == "bytes" or not self.objcg_per_node),
        )

    def _page_refs_pin(self) -> bool:
        return not self.page_ref or self.reparents == "pages" or self.slab_pins == "memcg"
