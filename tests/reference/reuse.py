"""Reuse of dead memcgs as a specification: a host in continuous time whose new cgroups take dead memcgs over.

Shares no code with `core.lifecycle.reuse`, which follows seats in steps: here every cgroup, memcg and leftover is by
itself.
"""

from dataclasses import dataclass, field

from tests.reference.lifecycle import Host


@dataclass(eq=False)
class Memcg:
    """A struct mem_cgroup: the leftovers charged to it, by number, and whether a cgroup uses it."""

    life_s: float = 0.0  # of that cgroup
    held: dict = field(default_factory=dict)  # number -> kind
    online: bool = True


class ReusingHost(Host):
    """A new cgroup takes over any dead memcg; one that holds nothing is freed.

    weigh: bytes charged for leftovers of these kinds. A cgroup for which `own_bytes` and the legacy exceed
    `limit_bytes` cannot run before all of the legacy is reclaimed.
    """

    def __init__(self, *arguments, weigh, own_bytes, limit_bytes):
        super().__init__(*arguments)
        self.weigh, self.own_bytes, self.limit_bytes = weigh, own_bytes, limit_bytes
        self.born = self.inherited_bytes = self.over_half = self.forced_reclaims = 0

    def fairness(self):
        """Per new cgroup: bytes inherited, share that starts over half its limit, forced reclaims."""
        return [total / self.born for total in (self.inherited_bytes, self.over_half, self.forced_reclaims)]

    def _counts(self):
        """Dead memcgs, objects on slabs of these, objects on slabs that somebody refills."""
        dead = [memcg for memcg in self.memcgs if not memcg.online]
        charged = sum(self._on_slab(kind) for memcg in self.memcgs for kind in memcg.held.values())
        on_dead = sum(self._on_slab(kind) for memcg in dead for kind in memcg.held.values())
        of_root = sum(self._on_slab(kind) for kind, _ in self.of_root)
        return [len(dead), on_dead, charged - on_dead + of_root]

    def _on_slab(self, kind):
        return kind != self.rules.page_kind

    def _new_memcg(self, life_s):
        self.born += 1
        dead = [memcg for memcg in self.memcgs if not memcg.online]
        if not dead:
            memcg = Memcg(life_s)
            self.memcgs.add(memcg)
            return memcg
        memcg = self.rng.choice(dead)
        memcg.online, memcg.life_s = True, life_s
        legacy = self.weigh(list(memcg.held.values()))
        self.inherited_bytes += legacy
        self.over_half += legacy > self.limit_bytes / 2
        if legacy + self.own_bytes > self.limit_bytes:
            self.forced_reclaims += 1
            memcg.held.clear()
        return memcg

    def _leave(self, memcg, kind, end_s):
        number = next(self.numbers)
        memcg.held[number] = kind
        self._push(end_s, self._reclaim, (memcg, number))

    def _reclaim(self, _, memcg, number):
        memcg.held.pop(number, None)  # under pressure it went earlier
        self._free_if_unused(memcg)

    def _settle(self, memcg, now_s):
        memcg.online = False
        self._free_if_unused(memcg)

    def _free_if_unused(self, memcg):
        if not memcg.online and not memcg.held:
            self.memcgs.discard(memcg)
