"""The machine this runs on as a kernel profile: `kernel=detected`.

Sizes of structs are read from BTF, sizes of caches from /proc/slabinfo and /sys/kernel/slab (root only), rules follow
from the version. What cannot be read is taken from the profile of the nearest version, and said.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config import btf, kernels
from sweep.config.kernels import Version
from sweep.errors import InputError

STRUCTS = {  # field of core.profile.Structs -> structs that it is the size of, newest name first
    "mem_cgroup": ("mem_cgroup",),
    "mem_cgroup_per_node": ("mem_cgroup_per_node",),
    "memcg_vmstats_percpu": ("memcg_vmstats_percpu", "mem_cgroup_stat_cpu"),
    "lruvec_stats_percpu": ("lruvec_stats_percpu", "lruvec_stat"),
    "memcg_vmstats": ("memcg_vmstats",),
    "lruvec_stats": ("lruvec_stats",),
    "obj_cgroup": ("obj_cgroup",),
    "percpu_ref_data": ("percpu_ref_data",),
    "cgroup": ("cgroup",),
    "cgroup_rstat_cpu": ("cgroup_rstat_cpu",),
    "kmem_cache_cpu": ("kmem_cache_cpu",),
    "kmem_cache_node": ("kmem_cache_node",),
}
SPLIT = {"css_rstat_cpu": 2, "cgroup_rstat_base_cpu": 1}  # cgroup_rstat_cpu since 6.16: one per css, one per cgroup
ON_HEAP_SINCE: dict[str, Version] = {"memcg_vmstats": (6, 1), "lruvec_stats": (6, 10)}  # part of another struct before
EMPTY_BEFORE: dict[str, Version] = {"percpu_ref_data": (5, 10)}


def register() -> None:
    """Let `conf/kernel/detected.yaml` ask for what is detected, when and only when it is composed."""
    OmegaConf.register_new_resolver("detected", lambda key: OmegaConf.select(_here(), key), replace=True)


@functools.cache
def _here() -> DictConfig:
    found = profile(Path("/"), platform.release())
    print(f"kernel=detected: {found['source']}", file=sys.stderr)
    return OmegaConf.create(found)


def profile(root: Path, release: str) -> dict[str, Any]:
    """Return the values of a kernel profile, as `conf/kernel/` spells them, of the system whose files are below `root`.

    Raises InputError if `release` does not start with a version.
    """
    version = kernels.version_of(release)
    if version is None:
        raise InputError(f"kernel=detected must run on Linux (got release {release!r}); name a kernel")
    of_version = kernels.rules(version)
    nearest = kernels.nearest(version, of_version["design"])
    assumed = kernels.load(nearest)
    structs, caches = _structs(root, version), _caches(root)
    return {
        **assumed,
        **of_version,
        "name": "detected",
        "version": kernels.text(version),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "memcg_slab_sysfs": (root / "sys/kernel/slab/dentry/cgroup").is_dir(),
        "structs": assumed["structs"] | structs,
        "caches": assumed["caches"] | caches,
        "source": f"Linux {release}, {_count(root, 'cpu')} possible CPUs, {_count(root, 'node')} possible nodes; "
        + _source(structs, assumed["structs"].keys() - structs.keys(), len(caches), nearest),
    }


def _structs(root: Path, version: Version) -> dict[str, int]:
    try:
        wanted = {"kmem_cache", *SPLIT}.union(*STRUCTS.values())
        found = btf.structs((root / "sys/kernel/btf/vmlinux").read_bytes(), wanted)
    except (OSError, ValueError):
        return {}
    sizes = {}
    for field, names in STRUCTS.items():
        known = [found[name].size_bytes for name in names if name in found]
        if version < ON_HEAP_SINCE.get(field, version) or version < EMPTY_BEFORE.get(field, version):
            sizes[field] = 0
        elif known:
            sizes[field] = known[0]
    if "node" in (cache := found.get("kmem_cache", btf.Struct(0, {}))).offset_bytes:
        sizes["kmem_cache"] = cache.offset_bytes["node"]
    if found.keys() >= SPLIT.keys():
        sizes["cgroup_rstat_cpu"] = sum(times * found[name].size_bytes for name, times in SPLIT.items())
    return sizes


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


def _source(found: Iterable[str], missing: Iterable[str], caches: int, nearest: str) -> str:
    """Say what was read, and what was assumed for want of it."""
    read = [f"{len(list(found))} sizes of structs from BTF", f"{caches} of kmem_caches from /proc/slabinfo"]
    assumed = sorted(missing) + ["kmem_caches (root may read theirs)"] * (not caches) + ["numbers of kernfs nodes"]
    return f"{', '.join(read)}; assumed as in {nearest}: {', '.join(assumed)}"


def _count(root: Path, kind: str) -> int | str:
    try:
        ranges = (root / f"sys/devices/system/{kind}/possible").read_text().strip().split(",")
    except OSError:
        return "unknown"
    return sum(int(each.split("-")[-1]) - int(each.split("-")[0]) + 1 for each in ranges)
