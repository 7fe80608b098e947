"""Nodes of a kernfs root and their radix tree, by hand."""

from core.validation.kernfs import KernfsRoot, radix_slots
from core.validation.program import Program


def live(program):
    """Count objects by cache that were allocated and not freed."""
    kinds = {}
    for event in program.events():
        if event["kind"] == 0:
            kinds[event["object"]] = program.caches[event["cache"]]
        else:
            del kinds[event["object"]]
    return {cache: list(kinds.values()).count(cache) for cache in sorted(set(kinds.values()))}


def program(profile_of):
    return Program(profile_of("tiny-5.2.1"), 1, ["kernfs_node_cache", "radix_tree_node", "kmalloc-8"])


def test_slots_follow_from_the_size_of_a_radix_tree_node(profile_of):
    """Hand-worked: (584 - 72) / 8 = 64 slots, and 16 with CONFIG_BASE_SMALL."""
    assert radix_slots(profile_of("linux-5.2")) == 64
    assert radix_slots(profile_of("tiny-5.2.1")) == 16


def test_the_tree_grows_by_leaves_and_levels(profile_of):
    """Hand-worked: inode numbers 1 to 20 at 16 slots need 2 leaves and a node above them; 3 names are copied."""
    it = program(profile_of)
    root = KernfsRoot(it)

    for number in range(20):
        root.node(0, "name" if number < 3 else None)

    assert live(it) == {"kernfs_node_cache": 20, "kmalloc-8": 3, "radix_tree_node": 3}


def test_one_node_keeps_its_leaf(profile_of):
    """Hand-worked: of 40 nodes the 40th remains; numbers never come back, so its leaf and the level above stay."""
    it = program(profile_of)
    root = KernfsRoot(it)
    nodes = [root.node(0) for _ in range(40)]

    for node in nodes[:-1]:
        root.remove(node, 0)

    assert live(it) == {"kernfs_node_cache": 1, "radix_tree_node": 2}
    root.remove(nodes[-1], 0)
    assert live(it) == {}
