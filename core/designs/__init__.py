"""The designs that are compared. A new one is a file here, and its name in the order below."""

from importlib import import_module

from core.designs.design import Design, ObjcgVersion

ORDER = (
    "unaccounted",
    "page_ref",
    "reparent_atomic",
    "reparent_percpu",
    "page_list",
    "reuse_dead",
    "objcg",
    "objcg_multi_stock",
    "objcg_per_node",
)

DESIGNS: dict[str, Design] = {name: getattr(import_module(f"core.designs.{name}"), name) for name in ORDER}

__all__ = ["DESIGNS", "Design", "ObjcgVersion"]
