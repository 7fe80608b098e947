"""Every profile in conf/kernel/ is whole."""

import pytest
from omegaconf import OmegaConf

from core.designs import DESIGNS
from core.lifecycle.memory import KMALLOC
from core.profile import KernelProfile
from sweep.config import kernels
from sweep.config.options import option
from sweep.config.records import build
from tests.support import CONF

WORKLOADS = sorted(path.stem for path in (CONF / "workload").glob("[a-z]*.yaml"))
PAGE_CACHE = "page_cache"  # a workload's pages, which are no kmem_cache
REPLAYED = {"dentry", "shmem_inode_cache", "filp", "inode_cache", "kernfs_node_cache", "radix_tree_node"}


def caches_of(workload):
    """Return the caches that a workload names, anywhere in it."""
    config = OmegaConf.load(CONF / "workload" / f"{workload}.yaml")
    return {name for part in (config.get("caches"), config.get("leftovers")) for name in part or ()} - {PAGE_CACHE}


@pytest.mark.parametrize("name", kernels.profiles())
def test_profile_is_named_after_its_file_and_has_every_cache(name):
    """Any design and any workload runs on any profile: no cache that one names is missing."""
    profile = build(KernelProfile, option("kernel", name), "kernel.")

    assert profile.name == name
    assert profile.design in DESIGNS
    needed = REPLAYED | {"kmem_cache", "kmem_cache_node"} | set(KMALLOC.values())
    assert needed.union(*map(caches_of, WORKLOADS)) <= profile.caches.keys()


@pytest.mark.parametrize("name", ["linux-6.8", "arm64-6.1-64k", "rhel-8", "tiny-5.8.1"])
def test_hydra_composes_what_the_test_above_builds(profile_of, name):
    """Profiles on profiles, on rules and on sizes: bases are laid upon one another as Hydra does."""
    assert profile_of(name) == build(KernelProfile, option("kernel", name), "kernel.")


def test_workloads_name_caches():
    """The test above has something to find."""
    assert caches_of("web_frontend")
