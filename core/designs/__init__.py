"""The designs that are compared. A new one is a file here and a line in the registry."""

from core.designs.design import Design, ObjcgVersion
from core.designs.objcg import objcg
from core.designs.objcg_multi_stock import objcg_multi_stock
from core.designs.page_list import page_list
from core.designs.page_ref import page_ref
from core.designs.reparent_atomic import reparent_atomic
from core.designs.reparent_percpu import reparent_percpu
from core.designs.reuse_dead import reuse_dead
from core.designs.unaccounted import unaccounted

DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        unaccounted,
        page_ref,
        reparent_atomic,
        reparent_percpu,
        page_list,
        reuse_dead,
        objcg,
        objcg_multi_stock,
    )
}

__all__ = ["DESIGNS", "Design", "ObjcgVersion"]
