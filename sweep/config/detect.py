"""A kernel build as a profile: this machine's (`kernel=detected`), or one in a file (`kernel=image kernel.image=PATH`).

BTF comes first: sizes of structs, and of the rules all that structs, members and functions show. What it cannot tell
(the charge batch, above all) follows from the version, or from what the vendor's builds of that version have. Sizes of
caches are read from /proc/slabinfo and /sys/kernel/slab (root only), or follow from their structs. What is left is
taken from the profile of the nearest version, and `source` says which came from where.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from core.profile import OBJCG_VERSIONS
from sweep.config import btf, image, kernels
from sweep.config.kernels import Version
from sweep.config.options import option
from sweep.errors import InputError

BTF_HERE = "sys/kernel/btf/vmlinux"
STRUCTS = {  # field of core.profile.Structs -> structs that it is the size of, newest name first
    "mem_cgroup": ("mem_cgroup",),
    "mem_cgroup_per_node": ("mem_cgroup_per_node",),
    "memcg_vmstats_percpu": ("memcg_vmstats_percpu", "mem_cgroup_stat_cpu"),
    "lruvec_stats_percpu": ("lruvec_stats_percpu", "lruvec_stat"),
    "obj_cgroup": ("obj_cgroup",),
    "cgroup": ("cgroup",),
    "cgroup_rstat_cpu": ("cgroup_rstat_cpu",),
    "kmem_cache_cpu": ("kmem_cache_cpu", "slub_percpu_sheaves"),
    "kmem_cache_node": ("kmem_cache_node",),
    "list_lru_one": ("list_lru_one",),
}
SPLIT = {"css_rstat_cpu": 2, "cgroup_rstat_base_cpu": 1}  # cgroup_rstat_cpu since 6.16: one per css, one per cgroup
ON_HEAP = {  # field -> the member that points to it; where that is no pointer, the struct that has it has its bytes
    "memcg_vmstats": ("mem_cgroup", "vmstats"),
    "lruvec_stats": ("mem_cgroup_per_node", "lruvec_stats"),
    "percpu_ref_data": ("percpu_ref", "data"),
    "psi_group": ("cgroup", "psi"),
}
SHRINKERS = 64  # shrinkers that know memcgs, up to which bits and counters are allocated at first
CACHES = {  # cache -> its struct, what a constructor adds (the free pointer must not lie in the object), alignment
    "dentry": ("dentry", 0, 8),
    "inode_cache": ("inode", 8, 8),
    "ext4_inode_cache": ("ext4_inode_info", 8, 8),
    "shmem_inode_cache": ("shmem_inode_info", 8, 8),
    "proc_inode_cache": ("proc_inode", 8, 8),
    "files_cache": ("files_struct", 0, 64),
    "filp": ("file", 0, 64),
    "cred_jar": ("cred", 0, 64),
    "anon_vma": ("anon_vma", 8, 8),
    "anon_vma_chain": ("anon_vma_chain", 0, 8),
    "signal_cache": ("signal_struct", 0, 64),
    "sighand_cache": ("sighand_struct", 8, 64),
    "radix_tree_node": ("xa_node", 8, 8),
    "seq_file": ("seq_file", 0, 8),
    "vmap_area": ("vmap_area", 0, 8),
    "maple_node": ("maple_node", 0, 64),
    "kmem_cache_node": ("kmem_cache_node", 0, 64),
}
MEMBERS = (
    "kmem_cache",
    "memcg_cache_params",
    "memcg_stock_pcp",
    "obj_stock_pcp",
    "obj_stock",
    "task_struct",
    "list_lru",
)
SIZED = ("psi_group_cpu", "shrinker_info", "shrinker_info_unit", "memcg_shrinker_map")
WANTED = {
    *MEMBERS,
    *SIZED,
    *SPLIT,
    *ON_HEAP,
    *(struct for struct, _ in ON_HEAP.values()),
    *(struct for names in STRUCTS.values() for struct in names),
    *(struct for struct, _, _ in CACHES.values()),
}


@dataclass(frozen=True)
class Build:
    """A kernel build, and where it was found."""

    name: str
    release: str
    found: str  # what it is, in words
    types: btf.Types | None
    page_bytes: int | None
    caches: dict[str, int]  # read, not derived
    values: dict[str, Any]  # of the profile, known beforehand


def register() -> None:
    """Let `conf/kernel/_read.yaml` ask for what a kernel says of itself, when and only when it is composed."""
    OmegaConf.register_new_resolver(
        "read", lambda key, path: OmegaConf.select(_here() if path is None else _there(path), key), replace=True
    )


@functools.cache
def _here() -> DictConfig:
    found = detected_profile(Path("/"), platform.release())
    print(f"kernel=detected: {found['source']}", file=sys.stderr)
    return OmegaConf.create(found)


@functools.cache
def _there(path: str) -> DictConfig:
    found = of_image(Path(path))
    print(f"kernel=image: {found['source']}", file=sys.stderr)
    return OmegaConf.create(found)


def detected_profile(root: Path, release: str) -> dict[str, Any]:
    """Return the values of a kernel profile, as `conf/kernel/` spells them, of the system whose files are below `root`.

    Raises InputError if `release` does not start with a version.
    """
    try:
        types = btf.types((root / BTF_HERE).read_bytes(), WANTED)
    except (OSError, ValueError):
        types = None
    if kernels.version_of(release) is None:
        raise InputError(f"kernel=detected must run on Linux (got release {release!r}); name a kernel")
    counted = f"{_count(root, 'cpu')} possible CPUs, {_count(root, 'node')} possible nodes"
    return _profile(
        Build(
            name="detected",
            release=release,
            found=f"Linux {release}, {counted}",
            types=types,
            page_bytes=os.sysconf("SC_PAGE_SIZE"),
            caches=_caches(root),
            values={"memcg_slab_sysfs": (root / "sys/kernel/slab/dentry/cgroup").is_dir(), "image": None},
        )
    )


def of_image(path: Path) -> dict[str, Any]:
    """Return the values of a kernel profile of the image at `path`; raises InputError if it cannot be read."""
    if path == Path():
        raise InputError("kernel.image must be set (got nothing); give kernel.image=PATH of a kernel image or its BTF")
    read = image.read_image(path)
    try:
        types = btf.types(read.btf, WANTED)
    except ValueError as error:
        raise InputError(
            f"kernel.image must have BTF that can be read (got '{path}': {error}); copy it again"
        ) from None
    release = read.release
    if release is None and path == Path("/", BTF_HERE):
        release = platform.release()
    return _profile(
        Build(
            name=release or "image",
            release=release or kernels.version_text(_looks_like(types)),
            found=f"Linux {release}"
            if release
            else f"a kernel that looks like {kernels.version_text(_looks_like(types))}",
            types=types,
            page_bytes=read.page_bytes,
            caches={},
            values={"image": str(path)},
        )
    )


def _profile(build: Build) -> dict[str, Any]:
    version = kernels.version_of(build.release)
    if version is None:
        raise InputError(f"kernel.image must be of Linux (got release {build.release!r}); name a kernel")
    as_of = max(version, _looks_like(build.types) if build.types else version)  # vendors take code of later versions
    by_version, whose = kernels.rules(as_of), f"by version {kernels.version_text(as_of)}"
    vendor = kernels.enterprise(build.release)
    if vendor:
        base = option("kernel", vendor[0])
        by_version = {key: base[key] for key in by_version} | {"charge_batch_pages": vendor[1]}
        whose = f"by release {build.release}, of {vendor[0]}"
    shown = _rules(build.types, by_version) if build.types else {}
    nearest = vendor[0] if vendor else kernels.nearest(as_of, {**by_version, **shown}["design"])
    assumed = option("kernel", nearest)
    sizes = _structs(build.types) if build.types else {}
    derived = _derived(build.types, assumed["caches"]) if build.types else {}
    missing = [
        *sorted(assumed["structs"].keys() - sizes.keys()),
        "numbers of kernfs nodes",
        "kmem_caches not counted here",
    ]
    said = {
        "from BTF": [f"{len(sizes)} sizes of structs", f"{len(derived)} sizes of kmem_caches", *sorted(shown)],
        "from /proc/slabinfo": [f"{len(build.caches)} sizes of kmem_caches"],
        whose: sorted(by_version.keys() - shown.keys()),
        f"assumed as in {nearest}": missing,
    }
    return {
        **assumed,
        **by_version,
        **shown,
        "name": build.name,
        "version": kernels.version_text(version),
        "page_bytes": build.page_bytes or assumed["page_bytes"],
        "structs": assumed["structs"] | sizes,
        "caches": assumed["caches"] | derived | build.caches,
        "source": "; ".join([build.found, *(f"{how}: {', '.join(what)}" for how, what in said.items())]),
        **build.values,
    }


def _looks_like(types: btf.Types) -> Version:
    """Return the newest version that brought something that these types have."""
    ages: dict[Version, bool] = {
        (5, 3): types.has("memcg_cache_params", "refcnt"),
        (5, 9): "obj_cgroup" in types.structs,
        (5, 14): types.has("memcg_stock_pcp", "cached_pgdat") or types.has("obj_stock", "cached_pgdat"),
        (5, 18): types.has("list_lru", "xa"),
        (6, 1): types.points("cgroup", "psi") or types.points("mem_cgroup", "vmstats"),
        (6, 7): types.has("task_struct", "objcg"),
        (6, 8): types.has("memcg_vmstats", "stats_updates"),
        (6, 16): types.count("memcg_stock_pcp", "cached") > 1,
        (6, 18): types.has("kmem_cache", "cpu_sheaves"),
        (7, 0): types.has("kmem_cache", "cpu_sheaves") and not types.has("kmem_cache", "cpu_partial"),
        (7, 1): types.has("mem_cgroup_per_node", "objcg"),
        (7, 2): types.count("obj_stock_pcp", "cached") > 1,
    }
    return max((version for version, seen in ages.items() if seen), default=kernels.profile_versions()[0])


def _rules(types: btf.Types, by_version: dict[str, Any]) -> dict[str, Any]:
    """Return the rules that structs, members and functions show; `by_version` says what they show in part only."""
    shown: dict[str, Any] = {}
    looks_like = kernels.rules(_looks_like(types))
    if looks_like["design"] == by_version["design"]:
        shown["design"] = looks_like["design"]
    if "mem_cgroup" in types.structs:
        shown["stat_copies"] = 2 if types.has("mem_cgroup", "vmstats_local") else 1
        shown["cgroup_v1"] = types.has("mem_cgroup", "tcpmem")
    if OBJCG_VERSIONS.index(looks_like["objcg_as_of"]) > OBJCG_VERSIONS.index(by_version["objcg_as_of"]):
        shown["objcg_as_of"] = looks_like["objcg_as_of"]
    if "mem_cgroup_per_node" in types.structs:
        shown["objcg_per_node"] = types.has("mem_cgroup_per_node", "objcg")
    if "memcg_stock_pcp" in types.structs:
        shown["stock_slots"] = types.count("memcg_stock_pcp", "cached")
        shown["byte_slots"] = types.count("obj_stock_pcp", "cached")
        if shown["stock_slots"] > 1:
            shown["stock_victim"] = "in_turn" if types.has("memcg_stock_pcp", "drain_idx") else "random"
    if "list_lru" in types.structs:
        shown["list_lru_rule"] = "on_demand" if types.has("list_lru", "xa") else "per_id"
    if types.has("kmem_cache", "min_partial"):
        bounds = {"slabs": "cpu_partial_slabs", "objects": "cpu_partial"}
        shown["cpu_partial_rule"] = next((rule for rule, of in bounds.items() if types.has("kmem_cache", of)), "off")
    if types.functions:
        shown["folio_reparenting"] = "lru_reparent_memcg" in types.functions
        shown["filp_by_rcu"] = "file_free_rcu" in types.functions
        if not any("css_rstat_flush" in name for name in types.functions):
            shown["stat_flush"] = "atomics"
    if types.has("memcg_vmstats", "stats_updates"):
        shown["stat_flush"] = "rstat_memcg"
    return shown


def _structs(types: btf.Types) -> dict[str, int]:
    size_of = {name: found.size_bytes for name, found in types.structs.items()}
    sizes = {}
    for field, names in STRUCTS.items():
        if known := [size_of[name] for name in names if name in size_of]:
            sizes[field] = known[0]
    for field, (holder, member) in ON_HEAP.items():
        if holder in size_of:
            sizes[field] = size_of.get(field, 0) if types.points(holder, member) else 0
    for member in ("node", "per_node"):
        if types.has("kmem_cache", member):
            sizes["kmem_cache"] = types.structs["kmem_cache"].members[member].offset_bytes or 0
    if size_of.keys() >= SPLIT.keys():
        sizes["cgroup_rstat_cpu"] = sum(times * size_of[name] for name, times in SPLIT.items())
    if "cgroup" in size_of:
        sizes["psi_group_cpu"] = size_of.get("psi_group_cpu", 0)
    if "shrinker_info_unit" in size_of:
        sizes["shrinker_info"] = size_of["shrinker_info"] + 8 + size_of["shrinker_info_unit"]  # one pointer to a unit
    elif "shrinker_info" in size_of:
        sizes["shrinker_info"] = size_of["shrinker_info"] + SHRINKERS * 8 + SHRINKERS // 8
    elif "memcg_shrinker_map" in size_of:
        sizes["shrinker_info"] = size_of["memcg_shrinker_map"] + SHRINKERS // 8
    return sizes


def _derived(types: btf.Types, assumed: dict[str, int]) -> dict[str, int]:
    """Bytes of an object by cache, from the struct that it holds."""
    found = {
        cache: -(-(types.structs[name].size_bytes + constructor) // align) * align
        for cache, (name, constructor, align) in CACHES.items()
        if name in types.structs
    }
    for cache, pointers in (("mem_cgroup", 1), ("mem_cgroup_per_node", 0)):  # caches of their own since 6.16; one node
        if cache in assumed and cache in types.structs:
            found[cache] = -(-(types.structs[cache].size_bytes + 8 * pointers) // 64) * 64
    return found


def _caches(root: Path) -> dict[str, int]:
    """Bytes of an object by cache; caches merged into others have a name under /sys/kernel/slab only."""
    sizes = {}
    try:
        for line in (root / "proc/slabinfo").read_text().splitlines()[2:]:
            name, _, _, size, *_ = line.split()
            sizes[name] = int(size)
        for path in (root / "sys/kernel/slab").glob("*/slab_size"):
            sizes.setdefault(path.parent.name, int(path.read_text()))
    except OSError:
        pass  # readable by root only; what is missing is assumed, and said
    return {name: size for name, size in sizes.items() if re.fullmatch(r"[\w.-]+", name)}


def _count(root: Path, kind: str) -> int | str:
    try:
        ranges = (root / f"sys/devices/system/{kind}/possible").read_text().strip().split(",")
    except OSError:
        return "unknown"
    return sum(int(each.split("-")[-1]) - int(each.split("-")[0]) + 1 for each in ranges)
