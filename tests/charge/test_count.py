"""Cases worked by hand, and what holds for every run of `core.charge.count`."""

from dataclasses import replace
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blocks import packed
from core.charge import stock
from core.charge.count import count, count_lanes
from core.charge.draw import new_room
from core.charge.load import window_key
from core.charge.machine import machine_of
from core.charge.window import charge_window
from core.designs import DESIGNS
from core.events import ALLOC, FREE, OFFLINE, ONLINE, cpu_hash
from core.slabs.slab import array_limits
from tests.reference import charge as reference
from tests.reference.slub import Geometry
from tests.support.points import default_point
from tests.support.scenarios import Scenario, machine, point
from tests.support.windows import in_order

ONE_PAGE = Geometry(objects=1, pages=1, object_bytes=1016, min_partial=0, cpu_partial=0)
ON_CPU_0, ON_CPU_1 = 0, 2**31  # of two CPUs


def lane(**changes):
    """Two CPUs, slabs of one object and one page, a batch of 4 pages, a child of the root; no cross-setting."""
    values = {
        "cpus": 2,
        "nodes": 1,
        "caches": (ONE_PAGE,),
        "partial_rule": "off",
        "page_bytes": 4096,
        "batch": 4,
        "stat_batch": 1000,
        "stock": True,
        "uncharge_batched": None,
        "depth": 1,
        "v1": False,
        "swap_accounting": False,
        "protected_levels": 0,
        "protection_xchg_elided": False,
        "objcg_as_of": "6.1",
        "stock_victim": "random",
    }
    return reference.Settings(**(values | changes))


def counted(design, settings_of_lane, *events):
    """The columns of one lane for events that follow the memcgs 1 and 2 going online."""
    scenario = Scenario((("online", 1, 0), ("online", 2, 0), *events))
    columns = count_lanes([point(design, settings_of_lane)], machine(settings_of_lane, scenario))
    return {name: np.ravel(values)[0] for name, values in columns.items()}


def allocs(memcg, count, cpu=ON_CPU_0, first=0):
    return [("alloc", first + number, memcg, 0, False, cpu) for number in range(count)]


def small_window(**changes):
    """The default workload with a window short enough for a test."""
    base = default_point()
    mix = replace(base.workload.charge, allocations_per_cpu=750, burst_allocations=200)
    load = replace(base.workload, charge=mix)
    return replace(base, workload=load, churn_hz=200.0, duration_s=3600.0, cpus=4, depth=2, **changes)


def test_batch_of_four_walks_twice_for_five_slabs():
    """Of five pages, the first and the fifth find no stock; a walk visits memcg and root, as do four uncharges."""
    found = counted("page_ref", lane(), *allocs(1, 5), *[("free", obj, ON_CPU_0) for obj in range(4)])

    assert (found["page_charges"], found["stock_hits"], found["charge_walks"]) == (5, 3, 2)
    assert (found["leaf_counter_atomics"], found["upper_counter_atomics"]) == (2 + 4, 2 + 4)
    assert (found["page_uncharges"], found["uncharge_counter_atomics"]) == (4, 8)
    assert (found["stat_atomics"], found["atomics_per_page_charge"]) == (0, 4 / 5 + 8 / 4)  # a charge and its uncharge


def test_uncharge_is_not_batched_until_5_11():
    """Each slab uncharged is a walk of two counters, though the stock that charged them had room for all."""
    frees = [("free", 0, ON_CPU_0), ("free", 1, ON_CPU_0)]
    found = counted("page_ref", lane(), *allocs(1, 3), *frees)

    assert (found["slabs_freed"], found["page_uncharges"]) == (
        2,
        2,
    )  # full and freed they go at once, min_partial being 0
    assert (found["uncharge_walks"], found["uncharge_counter_atomics"]) == (2, 4)
    assert counted("page_ref", lane(uncharge_batched=True), *allocs(1, 3), *frees)["uncharge_walks"] == 0


def test_another_memcg_on_the_cpu_drains_the_stock():
    """Memcgs that take turns on a CPU drain each other; on two CPUs each keeps its own stock."""
    turns = [*allocs(1, 1), *allocs(2, 1, first=1), *allocs(1, 1, first=2)]
    apart = [*allocs(1, 1), *allocs(2, 1, ON_CPU_1, first=1), *allocs(1, 1, first=2)]

    assert counted("page_ref", lane(), *turns)["stock_drains"] == 2
    assert counted("page_ref", lane(), *apart)["stock_drains"] == 0


def test_request_of_the_whole_batch_leaves_the_stock_alone():
    """With a batch of one page every charge walks, and nobody's stock is drained for it."""
    found = counted("page_ref", lane(batch=1), *allocs(1, 2), *allocs(2, 2, first=2))

    assert (found["charge_walks"], found["stock_hits"], found["stock_drains"]) == (4, 0, 0)


def test_reference_on_the_cache_costs_one_atomic_each_way():
    """The design of April 2019 adds one atomic per slab charged and one per slab uncharged; the percpu_ref none."""
    events = [*allocs(1, 3), ("free", 0, ON_CPU_0)]

    assert counted("reparent_atomic", lane(), *events)["refcount_atomics"] == 3 + 1
    assert counted("reparent_percpu", lane(), *events)["refcount_atomics"] == 0


def test_percpu_ref_is_atomic_after_offline():
    """A slab freed after offline drops its reference by an atomic, and its page from the parent's counters only."""
    found = counted("reparent_percpu", lane(depth=2), *allocs(1, 1), ("offline", 1, ON_CPU_0), ("free", 0, ON_CPU_0))

    # one charge walk and one drain of the stock at offline visit the memcg, the late uncharge does not
    assert (found["leaf_counter_atomics"], found["upper_counter_atomics"]) == (2, 2 * 2 + 2)
    # css_put_many() of the drained stock, percpu_ref_put_many() of the slab
    assert found["refcount_atomics"] == 2


def test_list_of_pages_is_locked_for_each_slab():
    """The list's lock is taken once per slab charged and once per slab uncharged."""
    assert counted("page_list", lane(), *allocs(1, 3), ("free", 0, ON_CPU_0))["lock_acquisitions"] == 3 + 1


def test_what_happened_before_the_start_is_there_and_not_counted():
    """Five slabs of before are in use and stocked; of the sixth and of one that is freed the counts are."""
    found = counted("page_ref", lane(), *allocs(1, 5), ("start", 0), *allocs(1, 1, first=5), ("free", 0, ON_CPU_0))

    assert (found["objects_allocated"], found["objects_freed"]) == (1, 1)
    assert (found["page_charges"], found["stock_hits"], found["page_uncharges"]) == (1, 1, 1)
    assert (found["counter_atomics"], found["percpu_ref_ops"]) == (2, 2 + 1)  # one uncharge walks; object, page


def test_stocks_hold_no_more_than_their_bound():
    """Two CPUs with a batch of four pages: one slot each, or seven."""
    for design, slots in (("objcg", 1), ("objcg_multi_stock", 7), ("unaccounted", 0)):
        assert counted(design, lane(), *allocs(1, 5))["stocked_bytes_bound"] == slots * 4 * 4096 * 2


def test_stocks_are_looked_at_from_time_to_time():
    """A batch of four leaves three pages in the stock, then two, then one: the mean over two looks and the end."""
    charges = allocs(1, 3)
    found = counted("page_ref", lane(), charges[0], ("sample", 0), charges[1], ("sample", 0), charges[2])

    assert found["stocked_bytes_mean"] == 4096 * (3 + 2 + 1) / 3


def test_dead_memcg_is_taken_over_with_its_charges():
    """The cgroup that comes next gets the dead memcg's slab back, so it need not charge one of its own."""
    geometry = replace(ONE_PAGE, objects=2)
    events = [*allocs(1, 1), ("offline", 1, ON_CPU_0), ("online", 3, ON_CPU_0), *allocs(3, 1, first=1)]

    assert counted("reuse_dead", lane(caches=(geometry,)), *events)["page_charges"] == 1
    assert counted("page_ref", lane(caches=(geometry,)), *events)["page_charges"] == 2


def test_four_objects_of_a_kilobyte_share_a_page():
    """Objects of 1016 + 8 bytes: a page is charged for the first and the fifth."""
    assert counted("objcg", lane(), *allocs(1, 4))["page_charges"] == 1
    assert counted("objcg", lane(), *allocs(1, 5))["page_charges"] == 2


def test_bytes_wander_through_the_shared_counter():
    """Before 5.14 a CPU that changes its obj_cgroup adds its bytes to the old one and fetches those of the new one."""
    turns = [*allocs(1, 1), *allocs(2, 1, first=1)]

    turns += [("free", 0, ON_CPU_0), ("free", 1, ON_CPU_0)]
    # fetch for 1; drain of 1, fetch for 2; and when they are freed drain of 2, fetch for 1; drain of 1, fetch for 2
    assert counted("objcg", lane(objcg_as_of="5.9"), *turns)["byte_atomics"] == 3 + 4
    # at first there is nothing to fetch, and that is looked up
    assert counted("objcg", lane(objcg_as_of="5.15"), *turns)["byte_atomics"] == 1 + 4


def test_overflowing_bytes_go_to_the_stock_from_5_11_on():
    """Of two pages charged for five objects, the second object freed leaves more than a page in the byte stock."""
    events = [*allocs(1, 5), ("free", 0, ON_CPU_0), ("free", 1, ON_CPU_0)]

    for design, as_of, walks in (("objcg", "5.11", 0), ("objcg", "6.1", 0), ("objcg_multi_stock", "6.1", 0)):
        found = counted(design, lane(objcg_as_of=as_of), *events)
        assert (found["page_uncharges"] > 0, found["uncharge_walks"]) == (True, walks)
    assert counted("objcg", lane(objcg_as_of="5.9"), *events)["uncharge_walks"] > 0


def test_whole_pages_of_a_drained_byte_stock():
    """Two objects of 5008 bytes leave 6368 in the stock; for another memcg a page of it goes to the page stock.

    From 6.16 on it goes to the counters at once.
    """
    big = replace(ONE_PAGE, pages=2, object_bytes=5000)
    events = [*allocs(1, 2), *allocs(2, 1, first=2)]

    assert counted("objcg", lane(caches=(big,)), *events)["uncharge_walks"] == 0
    assert counted("objcg_multi_stock", lane(caches=(big,)), *events)["uncharge_walks"] == 1


def test_bytes_that_make_a_page_when_the_objcg_is_released():
    """Half a page left on either CPU makes a page once the obj_cgroup goes: to the stock from 5.11 on."""
    half = replace(ONE_PAGE, object_bytes=2040)
    events = [
        *allocs(1, 1),  # half a page is left on CPU 0
        ("free", 0, ON_CPU_1),  # and half a page on CPU 1
        *allocs(2, 1, first=1),
        *allocs(2, 1, ON_CPU_1, first=2),
        ("offline", 1, ON_CPU_0),
    ]

    for as_of, walks in (("5.9", 1), ("5.11", 0)):
        before, after = (
            counted("objcg", lane(caches=(half,), objcg_as_of=as_of), *history)["uncharge_walks"]
            for history in (events[:-1], events)
        )
        assert after - before == walks


def test_seven_memcgs_fit_into_a_stock_of_seven_slots():
    """Two memcgs that take turns drain a stock of one slot each time, and one of seven slots never."""
    turns = [event for number in range(6) for event in allocs(1 + number % 2, 4, first=4 * number)]

    assert counted("objcg_multi_stock", lane(), *turns)["stock_drains"] == 0
    assert counted("objcg", lane(), *turns)["stock_drains"] > 0


def test_five_obj_cgroups_fit_into_a_byte_stock_of_five_slots():
    """Memcgs that take turns on a CPU drain its byte stock each time in 7.1; in 7.2 from the sixth on, in turn."""

    def byte_atomics(memcgs, as_of):
        allocations = [event for number in range(2 * memcgs) for event in allocs(1 + number % memcgs, 1, first=number)]
        online = [("online", memcg, 0) for memcg in range(3, memcgs + 1)]
        return counted("objcg_per_node", lane(objcg_as_of=as_of), *online, *allocations)["byte_atomics"]

    # each of the second round, and all but the first of the first, drains one; in the second round each fetches its own
    assert byte_atomics(5, "7.1") == 9 + 5
    assert byte_atomics(5, "7.2") == 0
    # the sixth drains the first; then each drains the next, and fetches what was left of its own
    assert byte_atomics(6, "7.2") == 1 + 6 + 6


def test_obj_cgroups_of_a_memcg_are_told_apart_by_node():
    """An object of node 1 that is freed on node 0 brings its own slot there; its bytes are no use to node 0."""
    whole = replace(ONE_PAGE, object_bytes=2040)
    events = [*allocs(1, 1, ON_CPU_1), ("free", 0, ON_CPU_0), *allocs(1, 1, ON_CPU_0, first=1)]

    for as_of, charges in (("7.1", 1), ("7.2", 2)):
        found = counted("objcg_per_node", lane(caches=(whole,), nodes=2, objcg_as_of=as_of), *events)
        assert found["page_charges"] == charges


def test_seven_slots_are_given_up_in_turn():
    """Eight memcgs of which each charges in its turn: from 7.0 on nobody ever finds pages of its own."""
    memcgs = [("online", memcg, 0) for memcg in range(3, 9)]
    page = replace(ONE_PAGE, object_bytes=4088)
    turns = [event for number in range(32) for event in allocs(1 + number % 8, 1, first=number)]

    drawn, in_turn = (
        counted("objcg_multi_stock", lane(caches=(page,), stock_victim=victim), *memcgs, *turns)["stock_hits"]
        for victim in ("random", "in_turn")
    )
    assert drawn > in_turn == 0
    assert counted("objcg_per_node", lane(caches=(page,)), *memcgs, *turns)["stock_hits"] == 0


@pytest.mark.parametrize("design", DESIGNS)
def test_points_do_not_talk(design):
    """A point's row is the same alone, in other company, and in another order, under both allocators."""
    base = small_window(design=design)
    points = [
        replace(base, cpus=cpus, batch=batch, allocator=allocator, stock=stock)
        for cpus in (1, 4)
        for batch in (1, 32)
        for allocator in ("slub", "slab")
        for stock in (True, False)
    ]
    together = count(points[::-1])

    for number, each in enumerate(points[::-1]):
        alone = count([each])
        assert {name: values[0] for name, values in alone.items()} == {n: v[number] for n, v in together.items()}


@pytest.mark.parametrize("allocator", ["slub", "slab"])
def test_designs_see_the_same_objects(allocator):
    """Every design allocates and frees the same objects; accounted ones charge pages, the floor does nothing."""
    base = small_window(allocator=allocator)
    found = count([replace(base, design=design) for design in DESIGNS])

    assert np.unique(found["objects_allocated"]).tolist() == [4 * 750]
    assert np.unique(found["objects_freed"]).size == 1
    floor = list(DESIGNS).index("unaccounted")
    assert found["shared_atomics"][floor] == found["percpu_ops"][floor] == found["page_charges"][floor] == 0
    assert (np.delete(found["page_charges"], floor) > 0).all()


@pytest.mark.parametrize("design", [name for name, design in DESIGNS.items() if design.accounts])
def test_without_stock_everything_walks(design):
    """With the stock off, each charge and each uncharge walks the counters, and nothing is ever drained."""
    found = count([small_window(design=design, stock=False)])

    assert found["charge_walks"] == found["page_charges"]
    assert found["uncharge_walks"] == found["page_uncharges"]
    assert found["stock_hits"] == found["stock_drains"] == 0


def test_unbalanced_books_name_design_batch_and_both_numbers(monkeypatch):
    """A stock that loses a page is noticed."""

    def leaky(*arguments, **settings_of_stock):
        tally = stock.run_stock(*arguments, **settings_of_stock)
        return replace(tally, stocked_pages=tally.stocked_pages - 1)

    monkeypatch.setattr("core.charge.count.run_stock", leaky)

    with pytest.raises(AssertionError, match=r"page_ref, batch 4: 4 pages on the counters, but 3 in use or stocked"):
        counted("page_ref", lane(), *allocs(1, 1))


@given(cpus=st.integers(1, 8192), share=st.floats(0, 1, exclude_max=True))
def test_hash_of_a_cpu_falls_on_it(cpus, share):
    """`cpu_hash` is the inverse of `hash * cpus >> 32`."""
    cpu = int(share * cpus)

    assert int(cpu_hash(np.array([cpu]), cpus)[0]) * cpus >> 32 == cpu


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), churn_hz=st.floats(0, 2000))
def test_window_is_a_possible_history(seed, churn_hz):
    """Memcgs allocate while they are online; objects are freed once, after their allocation; times never turn back."""
    online, live = set(), set()
    for event in in_order(charge_window(replace(small_window(), seed=seed, churn_hz=churn_hz))):
        kind, memcg, obj = event["kind"], int(event["memcg"]), int(event["object"])
        if kind == ALLOC:
            assert memcg in online
            live.add(obj)
        elif kind == FREE:
            live.remove(obj)
        elif kind == ONLINE:
            online.add(memcg)
        elif kind == OFFLINE:
            online.remove(memcg)

    assert len(online) == small_window().cpus


def test_window_is_the_same_for_every_machine():
    """Design, nodes, batch, sizes and depth change nothing in the events; replicate, seed and churn do."""
    base = small_window()
    events = in_order(charge_window(base)).tobytes()
    larger = replace(base.kernel, caches={name: size + 8 for name, size in base.kernel.caches.items()})

    for change in ({"design": "page_ref"}, {"nodes": 2}, {"batch": 1}, {"depth": 7}, {"kernel": larger}):
        assert in_order(charge_window(replace(base, **change))).tobytes() == events
    for change in ({"replicate": 1}, {"seed": 2}, {"churn_hz": 1.0}):
        assert in_order(charge_window(replace(base, **change))).tobytes() != events


def test_memcgs_come_at_the_rate_of_churn():
    """Offlines in 1,050 allocations of a stream at 200 Hz are Poisson with mean 16.8: a false alarm in 15,800 seeds."""
    seeds = 200
    offlines = [
        np.count_nonzero(in_order(charge_window(replace(small_window(), seed=seed)))["kind"] == OFFLINE)
        for seed in range(seeds)
    ]
    mix = small_window().workload.charge
    mean = 200.0 * (mix.allocations_per_cpu + 1.5 * mix.burst_allocations) / mix.allocations_hz_per_cpu

    assert abs(np.mean(offlines) - mean) < 4 * np.sqrt(mean / seeds)


def history(point):
    """What happens to objects, in order: whose stream, and what; hashes stay hashes."""
    drawn = charge_window(point)
    events = in_order(drawn)
    moves = events[(events["kind"] == ALLOC) | (events["kind"] == FREE)]
    streams = moves["object"] // (drawn.objects // point.cpus)
    rest = moves[["kind", "early", "cache", "memcg", "object", "cpu_hash"]].tolist()
    return list(zip(streams.tolist(), rest, strict=True))


@pytest.mark.parametrize("memcgs_per_cpu", [0.5, 1.0, 1.5])
def test_window_of_few_cpus_is_part_of_the_window_of_many(memcgs_per_cpu):
    """Two CPUs run the first two streams of six: the same objects of the same memcgs, in the same order."""
    base = small_window()
    mix = replace(base.workload.charge, memcgs_per_cpu=memcgs_per_cpu)
    base = replace(base, churn_hz=0.0, workload=replace(base.workload, charge=mix))
    few, many = (history(replace(base, cpus=cpus)) for cpus in (2, 6))

    assert few == [move for move in many if move[0] < 2]


@settings(max_examples=25)
@given(
    machines=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0.0, 2.0, 20.0, 200.0])), min_size=2, max_size=5),
    memcgs_per_cpu=st.sampled_from([0.5, 1.0, 1.5]),
)
def test_window_does_not_depend_on_what_was_drawn_before(machines, memcgs_per_cpu):
    """Streams that nobody's coming disturbs are kept from one window to the next, and are those that it would draw."""
    mix = replace(small_window().workload.charge, memcgs_per_cpu=memcgs_per_cpu)
    base = replace(small_window(), workload=replace(small_window().workload, charge=mix))

    def drawn(cpus, churn_hz):
        return in_order(charge_window(replace(base, cpus=cpus, churn_hz=churn_hz))).tobytes()

    one_after_the_other = [drawn(*which) for which in machines]
    for which, events in zip(machines, one_after_the_other, strict=True):
        charge_window(replace(base, replicate=1, churn_hz=0.0))  # what was kept is let go of
        assert drawn(*which) == events


def test_a_window_fits_into_its_room(monkeypatch):
    """Where one memcg that comes disturbs four streams, at each of whose allocations a quantum begins."""
    rooms = []

    def measured(*how_many):
        rooms.append(new_room(*how_many))
        return rooms[-1]

    monkeypatch.setattr("core.charge.window.new_room", measured)
    mix = replace(small_window().workload.charge, memcgs_per_cpu=0.25, quantum_allocations=1.0, burst_allocations=2)
    base = replace(small_window(), workload=replace(small_window().workload, charge=mix))
    for churn_hz in (0.0, 200.0, 1000.0):
        charge_window(replace(base, churn_hz=churn_hz, duration_s=60.0))

    assert [len(room.blocks) >= room.used[1] > 0 for room in rooms] == [True] * len(rooms)
    assert [room.events.size >= room.used[0] > 0 for room in rooms] == [True] * len(rooms)


def test_each_cpu_brings_its_share_of_the_load():
    """So many allocations and memcgs per CPU are counted, whatever came before."""
    for cpus in (1, 3, 8):
        found = count([replace(small_window(design="page_ref"), cpus=cpus, churn_hz=0.0)])
        online = np.count_nonzero(
            in_order(charge_window(replace(small_window(), cpus=cpus, churn_hz=0.0)))["kind"] == ONLINE
        )

        assert (found["objects_allocated"][0], online) == (750 * cpus, cpus)


def test_windows_without_comings_and_goings_are_one():
    """At a millihertz and at a microhertz nobody comes in this window; at 200 Hz somebody does."""
    base = small_window()
    keys = [window_key(replace(base, churn_hz=churn_hz)) for churn_hz in (1e-6, 1e-3, 200.0)]
    windows = [in_order(charge_window(replace(base, churn_hz=churn_hz))).tobytes() for churn_hz in (1e-6, 1e-3, 200.0)]

    assert (keys[0] == keys[1], windows[0] == windows[1]) == (True, True)
    assert (keys[0] == keys[2], windows[0] == windows[2]) == (False, False)


def test_churn_draws_nothing_from_the_streams():
    """At 200 Hz and at none the streams allocate from the same caches at the same times on the same CPUs."""
    base = small_window()
    drawn = []
    for churn_hz in (0.0, 200.0):
        moves = history(replace(base, churn_hz=churn_hz))
        allocated = [(stream, cache, cpu) for stream, (kind, _, cache, _, _, cpu) in moves if kind == ALLOC]
        drawn.append(sorted(allocated, key=itemgetter(0)))  # in order within each stream

    assert drawn[0] == drawn[1]


def test_closed_files_wait_for_rcu_until_6_7():
    """Where a file is freed at once, it is freed where its memcg runs: fewer objects go back on other CPUs."""
    base = replace(small_window(), churn_hz=0.0)
    filp = list(base.workload.charge.caches).index("filp")
    away = []
    for by_rcu in (True, False):
        born, elsewhere = {}, []
        for event in in_order(charge_window(replace(base, kernel=replace(base.kernel, filp_by_rcu=by_rcu)))):
            if event["kind"] == ALLOC:
                born[event["object"]] = event["cache"], event["cpu_hash"]
            elif event["kind"] == FREE and born[event["object"]][0] == filp:
                elsewhere.append(born[event["object"]][1] != event["cpu_hash"])
        away.append(np.mean(elsewhere))

    assert away[1] < away[0]


@pytest.mark.parametrize(
    ("object_bytes", "limits"),
    [(192, (120, 480)), (704, (54, 216)), (2048, (24, 96)), (7104, (8, 0)), (200_000, (1, 0))],
)
def test_arrays_of_slab_by_object_size(object_bytes, limits):
    """enable_cpucache(): 120, 54, 24, 8 or 1 objects per CPU; 8 batches of half of that are shared, up to a page."""
    assert array_limits(object_bytes, 4096, possible_cpus=4) == limits
    assert array_limits(object_bytes, 4096, possible_cpus=1) == (limits[0], 0)


@pytest.mark.parametrize(("allocator", "slabs"), [("slub", 1), ("slab", 4)])
def test_allocator_of_a_point_is_the_one_that_runs(allocator, slabs):
    """Four task_structs of 7104 bytes fill one slab of 8 pages under SLUB, and four of 2 pages under SLAB."""
    base = small_window(design="page_ref", allocator=allocator)
    cache = list(base.workload.charge.caches).index("task_struct")
    scenario = Scenario((("online", 1, 0), *(("alloc", obj, 1, cache, False, 0) for obj in range(4))))
    base = replace(base, kernel=replace(base.kernel, caches=base.kernel.caches | {"task_struct": 7104}))

    found = count_lanes([base], machine_of(base, packed(scenario.records())))

    assert (found["slabs_allocated"], found["pages_charged"]) == (slabs, 8)
