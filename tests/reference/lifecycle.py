"""The lifecycle as a specification: every memcg, kmem_cache, slab and object by itself.

Two simulators that share no code with `core`. `Recount` takes the draws of `core.lifecycle.population` and must give
the same counts, to the last one. `Host` draws for itself, in continuous time, and must agree in distribution.
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from math import ceil, cos, exp, floor, log, log1p, pi, sqrt

MASK = 2**64 - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
AGE, NEEDED, PLACE, MEMCG, LIFE, ANGLE, CPU = range(7)
NONE, NEVER = -1, 2**30
STEPS, TICKS_PER_STEP, SPEED_LIMIT = 512, 4, 16
PIN_KINDS = ("stack", "socket", "swap", "mlock", "tmpfs", "cgwb")
STACK, SWAP = PIN_KINDS.index("stack"), PIN_KINDS.index("swap")
OF_ALL, OF_KIND = 4, 5  # counts: dying, with caches, objcgs, ids; then caches, slabs, own, shared, the root's, by kind


@dataclass(eq=False)
class Slab:
    """Pages that stay while one object is on them."""

    objects: set = field(default_factory=set)


@dataclass(eq=False)
class Memcg:
    """What a memcg is charged for, and what it had. It dies when it is offline and nothing pins it."""

    key: object
    life_s: float
    objects: list = field(default_factory=list)  # (number, kind, end, place) of leftovers
    slabs: dict = field(default_factory=lambda: defaultdict(lambda: defaultdict(Slab)))  # kind -> place of slab -> Slab
    files: set = field(default_factory=set)
    elsewhere: set = field(default_factory=set)  # objects of its on slabs that all share
    offline: bool = False
    holds: list = field(default_factory=list)  # (place in PIN_KINDS, until when), of what ends by itself

    def pins(self, rules):
        """Whether anything keeps it."""
        own = any(slab.objects for slabs in self.slabs.values() for slab in slabs.values())
        held = any(rules.pins[kind] for kind, _ in self.holds)
        return (rules.slab_pins_memcg and own) or (rules.lru_pins_memcg and bool(self.files)) or held

    def drop(self, number, kind):
        """One of its leftovers is reclaimed."""
        self.files.discard(number)
        self.elsewhere.discard(number)
        for slab in self.slabs[kind].values():
            slab.objects.discard(number)


def slab_of(place, cpus_of_stays, allocated, per_slab, *, cpu_slabs):
    """Slab of the object at `place` among those allocated, by allocating them one after the other."""
    if not cpu_slabs or len(set(cpus_of_stays)) == 1:
        return place // per_slab
    taken = defaultdict(int)
    for earlier in range(place):
        taken[cpus_of_stays[earlier * len(cpus_of_stays) // allocated]] += 1
    cpu = cpus_of_stays[place * len(cpus_of_stays) // allocated]
    return cpu, taken[cpu] // per_slab


def settle(memcg, cpus_of_stays, rules, now):
    """A memcg goes offline: put what it leaves behind, and is not yet reclaimed, where it was allocated."""
    memcg.offline = True
    for number, kind, end, place in memcg.objects:
        if end < now:
            continue
        if kind == rules.page_kind:
            memcg.files.add(number)
        elif not rules.own_caches or place * memcg.life_s < rules.cache_creation_s:
            memcg.elsewhere.add(number)
        else:
            allocated = int(rules.allocated[kind])
            at = int(place * allocated)
            slab = slab_of(at, cpus_of_stays, allocated, int(rules.slab_objects[kind]), cpu_slabs=rules.cpu_slabs)
            memcg.slabs[kind][slab].objects.add(number)


def tally(memcgs, kinds, rules):
    """Count, by looking at everything: see OF_ALL and OF_KIND."""
    counts = [0] * (OF_ALL + OF_KIND * kinds)
    kind_of = {number: kind for memcg in memcgs for number, kind, _, _ in memcg.objects}
    for memcg in memcgs:
        if not memcg.offline:
            continue
        dying = memcg.pins(rules)
        counts[0] += dying
        counts[1] += dying and memcg.life_s > rules.cache_creation_s
        full = {kind: [slab for slab in slabs.values() if slab.objects] for kind, slabs in memcg.slabs.items()}
        counts[2] += (
            any(full.values())
            or (not rules.own_caches and bool(memcg.elsewhere))
            or (rules.lru_pins_objcg and bool(memcg.files))
        )
        counts[3] += rules.pins[SWAP] and any(kind == SWAP for kind, _ in memcg.holds)
        for kind, slabs in full.items():
            counts[OF_ALL + kind] += bool(slabs)
            counts[OF_ALL + kinds + kind] += len(slabs)
            counts[OF_ALL + 2 * kinds + kind] += sum(len(slab.objects) for slab in slabs)
        if rules.lru_pins_memcg and memcg.files:
            counts[OF_ALL + 2 * kinds + rules.page_kind] += len(memcg.files)
        for number in memcg.elsewhere:
            counts[OF_ALL + 3 * kinds + kind_of[number]] += 1
    return counts


class Recount:
    """`core.lifecycle.pinning.pin`, object by object, on the same draws."""

    def __init__(self, population, rules):
        self.population, self.rules, self.kinds = population, rules, len(rules.slab_objects)
        self.numbers = count()
        self.memcgs = []
        self.ceases = defaultdict(list)  # tick -> (memcg or None, number, kind)
        self.evicts = defaultdict(list)
        self.root = [0] * self.kinds
        self.turn = defaultdict(int)
        self.wait = {}  # missing objects
        self.zombies = 0
        self.full_step = STEPS

    def run(self):
        """Return the counts at the end of every step, and the clock."""
        population, rules, objects = self.population, self.rules, self.population.objects
        for j, kind in enumerate(objects.kind):
            end = self._age(j)
            self.root[kind] += 1
            self.ceases[end].append((None, NONE, kind))
            self.evicts[end].append(j)
        clock, followed, history = 0.0, self._followed(), []
        counts = self._counts()
        for step in range(STEPS):
            used = rules.live_bytes[step]
            for number, each in zip(counts, rules.bytes_each, strict=True):
                used += number * each
            if used >= rules.page_cache_bytes:
                self.full_step = min(self.full_step, step)
            spare = max(rules.page_cache_bytes - used, rules.page_cache_bytes / SPEED_LIMIT)
            before, clock = int(clock), clock + TICKS_PER_STEP * rules.page_cache_bytes / spare
            now, born = int(clock), int(population.arrivals[step])
            for tick in range(before, now):
                self._cease(tick)
                for j in reversed(self.evicts.pop(tick, ())):  # the order decides whose draws a new memcg's life is of
                    self._miss(j, tick, before, now, born)
            self._allocate(step, before, now, born, followed)
            self._offline(step, before, now, followed)
            counts = self._counts()
            history.append(counts)
            self.memcgs = [memcg for memcg in self.memcgs if not memcg.offline or memcg.holds or self._holds(memcg)]
        return history, clock

    def _counts(self):
        counts = tally(self.memcgs, self.kinds, self.rules)
        for kind, number in enumerate(self.root):
            counts[OF_ALL + 4 * self.kinds + kind] += number * (kind != self.rules.page_kind)
        return counts

    def _holds(self, memcg):
        slabs = any(slab.objects for slabs in memcg.slabs.values() for slab in slabs.values())
        return bool(memcg.files or memcg.elsewhere or slabs)

    def _followed(self):
        draws = self.population.followed
        self.memcgs = [Memcg(int(key), float(life_s)) for key, life_s in zip(draws.key, draws.life_s, strict=True)]
        followed = {}
        for step in range(STEPS):
            for i in range(draws.birth_start[step], draws.birth_start[step + 1]):
                m = int(draws.birth_order[i])
                followed[m] = step, int(draws.rank[i]), self.memcgs[m]
        return followed

    def _cease(self, tick):
        for memcg, number, kind in self.ceases.pop(tick, ()):
            if memcg is None:
                self.root[kind] -= 1
            else:
                memcg.drop(number, kind)

    def _allocate(self, step, before, now, born, followed):
        of_rank = {rank: memcg for birth, rank, memcg in followed.values() if birth == step}
        for j in list(self.wait):
            end = NONE
            while self.wait[j] < born:
                end = before + self.wait[j] * (now - before) // born + self._age(j)
                if end >= now:
                    break
                self._miss(j, end, before, now, born)
            if self.wait[j] >= born:
                self.wait[j] -= born
                continue
            rank, kind = self.wait.pop(j), int(self.population.objects.kind[j])
            if rank not in of_rank:
                key = self._bits(j, self.turn[j], MEMCG) >> 32
                life_s = self._life_s(key)
                of_rank[rank] = Memcg(key, life_s)
                of_rank[rank].off_step = int(min(step + (rank + 0.5) / born + life_s / self.population.step_s, STEPS))
                self.memcgs.append(of_rank[rank])
            number = next(self.numbers)
            place = (self._bits(j, self.turn[j], PLACE) >> 32) / 2**32
            of_rank[rank].objects.append((number, kind, end, place))
            self.ceases[end].append((of_rank[rank], number, kind))
            self.evicts[end].append(j)

    def _offline(self, step, before, now, followed):
        draws, rules, gone = self.population.followed, self.rules, []
        for m in range(draws.off_start[step], draws.off_start[step + 1]):
            memcg = followed[m][2]
            for k in range(draws.left_start[m], draws.left_start[m + 1]):
                end, number = (before + now) // 2 + int(draws.left_ticks[k]), next(self.numbers)
                memcg.objects.append((number, int(draws.left_kind[k]), end, int(draws.left_spot[k]) / 2**32))
                self.ceases[end].append((memcg, number, int(draws.left_kind[k])))
            settle(memcg, self._stays(memcg.key), rules, now)
            memcg.holds = [
                (int(draws.held_kind[k]), int(draws.held_step[k]))
                for k in range(draws.held_start[m], draws.held_start[m + 1])
            ]
            gone.append(memcg)
        for memcg in self.memcgs:
            memcg.holds = [(kind, until) for kind, until in memcg.holds if until > step]
            if getattr(memcg, "off_step", NONE) == step:
                settle(memcg, self._stays(memcg.key), rules, now)
                gone.append(memcg)
        self.zombies += sum(memcg.pins(rules) for memcg in gone)

    def _stays(self, key):
        return [((bits(key, stay, NONE, CPU) >> 32) * self.rules.cpus) >> 32 for stay in range(self.rules.stays)]

    def _bits(self, j, turn, use):
        return bits(int(self.population.objects.seed), j, turn, use)

    def _age(self, j):
        ticks = float(self.population.objects.ticks[j])
        return max(int(min(ceil(-log(uniform(self._bits(j, self.turn[j], AGE))) * ticks), NEVER)), 1)

    def _miss(self, j, tick, before, now, born):
        self.turn[j] += 1
        touch = float(self.population.objects.touch[j])
        trials = NEVER**2
        if touch == 1:
            trials = 0
        elif touch > 0:
            trials = floor(log(uniform(self._bits(j, self.turn[j], NEEDED))) / log1p(-touch))
        self.wait[j] = int((tick - before + 0.5) / (now - before) * born) + trials

    def _life_s(self, key):
        mu, sigma = self.rules.life_mu, self.rules.life_sigma
        if sigma == 0:
            return exp(mu)
        angle = 2 * pi * uniform(bits(key, NONE, NONE, ANGLE))
        return exp(mu + sigma * sqrt(-2 * log(uniform(bits(key, NONE, NONE, LIFE)))) * cos(angle))


def bits(seed, j, turn, use):
    """Three rounds of SplitMix64's finaliser, in whole numbers."""
    x = seed
    for place in (j, turn, use):
        x = (x + (place + 1) * GOLDEN) & MASK
        x = (x ^ (x >> 30)) * FIRST & MASK
        x = (x ^ (x >> 27)) * SECOND & MASK
        x ^= x >> 31
    return x


def uniform(x):
    """A number in (0, 1] from 64 bits."""
    return ((x >> 11) + 1) * 2.0**-53


class Host:
    """A host in continuous time, with draws of its own. No feedback: reclaim turns the page cache over steadily.

    rng: random.Random. turnovers_hz: of the page cache. rules: `core.lifecycle.pinning.Rules`, of which nothing about
    bytes is used. Common objects are needed at a memcg's birth, each by a toss of a coin.
    """

    def __init__(self, rng, workload, rules, churn_hz, turnovers_hz):
        self.rng, self.load, self.rules, self.churn_hz, self.turnovers_hz = rng, workload, rules, churn_hz, turnovers_hz
        self.kinds = list(workload.leftovers.values())
        self.numbers, self.queue, self.memcgs, self.missing = count(), [], set(), set()
        self.common = [(kind, j) for kind, left in enumerate(self.kinds) for j in range(left.common)]

    def at(self, times_s):
        """Return the counts at the given times, in order; the last element of each is the number online."""
        for each in self.common:
            self._evict_later(0.0, each)
        self.of_root = set(self.common)
        self._push(self.rng.expovariate(self.churn_hz), self._birth, ())
        history = []
        for until_s in times_s:
            while self.queue and self.queue[0][0] <= until_s:
                now_s, _, act, arguments = heapq.heappop(self.queue)
                act(now_s, *arguments)
            history.append(self._counts())
        return history

    def _counts(self):
        counts = tally(self.memcgs, len(self.kinds), self.rules)
        for kind, _ in self.of_root:
            counts[OF_ALL + 4 * len(self.kinds) + kind] += kind != self.rules.page_kind
        return [*counts, sum(not memcg.offline for memcg in self.memcgs)]

    def _push(self, at_s, act, arguments):
        heapq.heappush(self.queue, (at_s, next(self.numbers), act, arguments))

    def _life_s(self):
        sigma = self.load.lifetime_sigma
        return self.load.lifetime_s * exp(sigma * self.rng.gauss(0, 1) - sigma**2 / 2)

    def _birth(self, now_s):
        memcg = self._new_memcg(self._life_s())
        for each in self.common:
            if each in self.missing and self.rng.random() < self.kinds[each[0]].common_touch:
                self.missing.discard(each)
                end_s = self._evict_later(now_s, each)
                self._leave(memcg, each[0], end_s)
        self._push(now_s + memcg.life_s, self._offline, (memcg,))
        self._push(now_s + self.rng.expovariate(self.churn_hz), self._birth, ())

    def _new_memcg(self, life_s):
        memcg = Memcg(None, life_s)
        self.memcgs.add(memcg)
        return memcg

    def _evict_later(self, now_s, each):
        end_s = now_s + self.rng.expovariate(self.turnovers_hz / self.kinds[each[0]].common_turnovers)
        self._push(end_s, self._evict, (each,))
        return end_s

    def _evict(self, _, each):
        self.missing.add(each)
        self.of_root.discard(each)

    def _leave(self, memcg, kind, end_s):
        number = next(self.numbers)
        memcg.objects.append((number, kind, end_s, self.rng.random()))
        self._push(end_s, lambda _: memcg.drop(number, kind), ())

    def _hold(self, memcg, kind, until_s):
        memcg.holds.append((kind, until_s))
        self._push(until_s, lambda _: memcg.holds.remove((kind, until_s)), ())

    def _offline(self, now_s, memcg):
        for kind, left in enumerate(self.kinds):
            for _ in range(self._poisson(left.private) + (self.rng.random() < left.chance)):
                self._leave(memcg, kind, now_s + self.rng.expovariate(self.turnovers_hz / left.private_turnovers))
        held = [(STACK, self.load.stray_task_s)] * self._poisson(self.load.stray_tasks)
        held += [
            (PIN_KINDS.index(name), pin.hold_s)
            for name, pin in vars(self.load.pins).items()
            if self.rng.random() < pin.chance
        ]
        for kind, mean_s in held:
            self._hold(memcg, kind, now_s + self.rng.expovariate(1 / mean_s))
        self._settle(memcg, now_s)

    def _settle(self, memcg, now_s):
        stays = [self.rng.randrange(self.rules.cpus) for _ in range(self.rules.stays)]
        settle(memcg, stays, self.rules, now_s)

    def _poisson(self, mean):
        number, chance = 0, self.rng.random()
        while chance > exp(-mean):
            chance *= self.rng.random()
            number += 1
        return number
