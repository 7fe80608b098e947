"""What is declared of a field is what happens: who reads it, and that nobody else does."""

from __future__ import annotations

import inspect
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest

from core import keys, params
from core.designs import DESIGNS, Design
from core.keys import PART_SEES, canonical, fields_of, identity, key, record, resolved, seen_by, setting
from core.params import Point
from core.profile import OBJCG_VERSIONS, STAT_FLUSHES
from core.rng import scenario_id
from core.simulate import simulate
from sweep.config.schema import PLANNED
from sweep.jobs.simulation import Simulation
from sweep.plan.axes import Listed
from sweep.plan.expand import Expander
from sweep.plan.plan import Dim, Plan
from tests.support.points import default_point

# what a text key may be, beside any text at all
TEXTS = (
    *DESIGNS, *OBJCG_VERSIONS, *STAT_FLUSHES, "per_id", "on_demand", "slub", "slab", "memcg", "memcg_node",
    "kmem_cache", "random", "in_turn", "4.19", "5.12", "6.7", "objects", "slabs", "off", "near", "far", "llsc",
    "measured", "A", "B", "directories", "pipes", "one",
)  # fmt: skip


def tiny(**changes):
    """A point of a window and a lifecycle that take milliseconds."""
    point = default_point(
        **{"cpus": 3, "nodes": 1, "possible_cpus": 4, "protected_levels": 1, "depth": 2, "duration_s": 3600.0,
           "churn_hz": 0.05} | changes
    )  # fmt: skip
    short = {name: 300 for name in ("allocations", "allocations_per_cpu") if hasattr(point.workload.charge, name)}
    units = {"memcgs_per_unit": 4, "levels_per_unit": 2}
    any_kind = {"far_service_ns": 50.0, "llsc_base_ns": 50.0, "llsc_retry_ns": 5.0}
    point = replace(point, host=replace(point.host, **any_kind))
    load = point.workload
    # without a chance how long a pin holds is nothing, and points that differ in it are one
    pins = replace(load.pins, **{name: replace(pin, chance=0.1) for name, pin in vars(load.pins).items()})
    return replace(point, workload=replace(load, charge=replace(load.charge, **short), pins=pins, **units))


BASES = {
    "pages": {"design": "page_list", "kernel": "linux-5.2", "cgroup_version": 1, "swap_accounting": True},
    "bytes": {"design": "objcg", "kernel": "linux-6.1"},
}


@cache
def base(name):
    """One of BASES, nothing of it null."""
    return resolved(tiny(**BASES[name]))


def leaves(tree, path=""):
    """Yield path and value of everything in a point."""
    for name, value in (vars(tree) if is_dataclass(tree) else tree).items():
        if is_dataclass(value) or isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        elif value is not None:
            yield f"{path}{name}", value


def job(point, path, values):
    """A plan of the points that are like `point` but for one key."""
    dims = Dim((path,), (Listed(values),)), Dim((PLANNED,), (Listed((0,)),))
    return Simulation(Plan(asdict(point), dims, None, {}))


def others(value):
    """Values that may be as good."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return [*(text for text in TEXTS if text != value), f"{value}x"]
    near = [value * 2, value + 1, value - 1, value / 2, value * 0.9, value * 4, value * 16]
    return [type(value)(other) for other in near if type(value)(other) != value]


def pair(point, path, value):
    """The job of two points that differ in one key."""
    for other in others(value):
        try:
            found = job(point, path, (value, other))
            for position in found.plan.probes():
                Expander(found.plan).point(found.plan.values(position))
        except ValueError:
            continue
        return found, other
    raise AssertionError(f"no other value of {path} than {value!r} makes a point")


def rows(simulation, start, stop):
    return simulation.work(start, stop)["points"].to_pylist()


@pytest.mark.parametrize("name", BASES)
def test_points_that_differ_in_one_key_do_not_disturb_one_another(name):
    """Whatever the key of a point, two points have the rows that each has alone, in either order."""
    undisturbed(base(name), [(path, value) for path, value in leaves(base(name)) if "." not in path])


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_points_that_differ_in_one_key_of_a_group_do_not_disturb_one_another(name):
    """Nor whatever the key inside of a kernel, a workload or a host."""
    undisturbed(base(name), [(path, value) for path, value in leaves(base(name)) if "." in path])


def undisturbed(point, keys):
    """Assert that each of some keys, changed alone, changes the row of one point and no other."""
    for path, value in keys:
        if path == PLANNED:
            continue
        simulation, other = pair(point, path, value)
        alone = [*rows(simulation, 0, 1), *rows(simulation, 1, 2)]

        assert rows(simulation, 0, 2) == alone, path
        assert rows(job(point, path, (other, value)), 0, 2) == alone[::-1], path
        assert alone[0]["point_id"] != alone[1]["point_id"], path


def every_kind():
    """Points that between them take every way through the model."""
    for name in BASES:
        yield from (replace(base(name), design=design) for design in DESIGNS)
        yield replace(base(name), allocator="slab", nodes=1)
    yield from (replace(base("pages"), page_list_lock=lock) for lock in ("memcg_node", "kmem_cache"))
    yield replace(base("pages"), kernel=replace(base("pages").kernel, memcg_slab_sysfs=True))
    yield from (replace(base("bytes"), host=default_point(host=host).host) for host in HOSTS)
    yield replace(base("bytes"), kernel=default_point(kernel="linux-7.1").kernel)


HOSTS = ("xeon_skx_8s28", "graviton2_16v", "graviton1_16v", "xeon_guest_2v")


@pytest.fixture
def reads(monkeypatch):
    """Which fields of which records each part reads."""
    found = {}

    @cache
    def watched(cls, part):
        def getattribute(self, name):
            if name in fields_of(cls):
                found.setdefault((cls.__name__, name), set()).add(part)
            return object.__getattribute__(self, name)

        return type(cls.__name__, (narrowed(cls, part),), {"__getattribute__": getattribute})

    narrowed = keys._narrowed
    monkeypatch.setattr(keys, "_narrowed", watched)
    keys._seen_inside.cache_clear()
    yield found
    keys._seen_inside.cache_clear()


def test_whoever_is_declared_to_read_a_key_reads_it(reads):
    """No reader is declared in vain: then taking one away stops the sweep, as what is not declared cannot be seen."""
    for point in every_kind():
        simulate([point])
    shared = {"label", "own", "realisation", "scenario"}  # of no lane; a scenario is hashed whole
    records = {type(value) for value in (base("bytes"), base("bytes").kernel, base("bytes").kernel.structs)}
    idle = {
        (cls.__name__, name, part)
        for cls in records
        for name, own in fields_of(cls).items()
        for part in own.readers - shared
        if not any(part in {by, *PART_SEES[by]} for by in reads.get((cls.__name__, name), ()))
    }

    assert idle == set()


def test_a_part_sees_what_names_it_and_nothing_else():
    """What is not declared is an error that says what to declare, nested keys too."""
    point = base("bytes")
    machine = seen_by(point, "machine")

    assert machine.nodes == point.nodes
    assert machine.kernel.page_bytes == point.kernel.page_bytes
    assert machine.workload.charge == point.workload.charge
    with pytest.raises(AttributeError, match=r"Point\.depth must name 'machine', which reads it \(got charge, price\)"):
        _ = machine.depth
    with pytest.raises(AttributeError, match=r"KernelProfile\.stacks_pin_memcg must name 'machine'"):
        _ = machine.kernel.stacks_pin_memcg


@pytest.mark.parametrize("line", ["    extra: int\n", "    extra: int = key()\n"])
def test_a_key_that_nobody_is_said_to_read_is_an_error_at_import(line):
    """It names the field, and says what to declare."""
    source = inspect.getsource(params).replace("    seed: int = key(", f"{line}    seed: int = key(")

    with pytest.raises(TypeError, match=r"Point\.extra must say who reads it .*extra: int = key\("):
        exec(source, {"__name__": "core.params"})
    with pytest.raises(TypeError, match="machine"):
        key("charges")


def test_settings_differ_where_a_reader_sees_a_difference():
    """Points are one to a part if and only if they are equal in what it reads."""
    point = base("bytes")
    other_kernel = replace(point, kernel=replace(point.kernel, stacks_pin_memcg=not point.kernel.stacks_pin_memcg))

    assert setting(point, "machine") == setting(replace(point, depth=5), "machine")
    assert setting(point, "charge") != setting(replace(point, depth=5), "charge")
    assert setting(point, "charge") == setting(other_kernel, "charge")
    assert setting(point, "lifecycle") != setting(other_kernel, "lifecycle")
    assert setting(DESIGNS["objcg"], "lifecycle") == setting(DESIGNS["objcg_multi_stock"], "lifecycle")


def test_records_are_known_by_their_content():
    """One identity, whatever made a record; a name is part of it."""
    kernel = base("bytes").kernel

    assert identity(replace(kernel)) == identity(kernel)
    assert identity(replace(kernel, name="other")) != identity(kernel)
    assert identity(replace(kernel, caches=dict(reversed(kernel.caches.items())))) == identity(kernel)


def test_a_new_key_leaves_the_scenarios_alone_that_do_not_use_it():
    """At its neutral value a key is not part of what a scenario is drawn from; at any other it is."""

    @record("scenario")
    class Before:
        a: int

    @record("scenario")
    class After:
        a: int
        new: int = key("scenario", neutral=0)

    assert canonical(After(a=1, new=0), "scenario") == canonical(Before(a=1), "scenario") == '{"a":1}'
    assert canonical(After(a=1, new=2), "scenario") == '{"a":1,"new":2}'


def test_nulls_stand_for_what_the_kernel_does():
    """Each null has the value of the kernel, of the workload or of another key, and follows it when that changes."""
    point = tiny(kernel="linux-4.19", depth=None, possible_cpus=None)
    here = resolved(point)

    assert (here.design, here.batch, here.stat_batch, here.objcg_as_of) == ("page_ref", 32, 32, "5.9")
    assert (here.depth, here.possible_cpus, here.cgroup_version) == (point.workload.depth, 3, 2)
    assert (here.uncharge_batched, here.swap_accounting, here.folio_reparenting) == (False, False, False)
    assert resolved(replace(point, batch=8)).stat_batch == 8
    assert resolved(replace(point, design="objcg", objcg_as_of="6.1")).uncharge_batched is True
    newer = resolved(replace(point, kernel=default_point(kernel="linux-7.1").kernel))
    assert (newer.design, newer.folio_reparenting) == (newer.kernel.design, True)
    assert not point.counterfactual
    assert scenario_id(point) == scenario_id(here)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"design": "unaccounted"}, False),
        ({"design": "objcg"}, True),
        ({"batch": 64}, True),
        ({"objcg_as_of": "6.1"}, False),  # of a design that has no such version
        ({"uncharge_batched": True}, True),
        ({"folio_reparenting": True}, True),
        ({"swap_accounting": True, "cgroup_version": 1}, False),  # a boot option
        ({"depth": 5}, False),
        ({"stock": False}, True),
    ],
)
def test_what_a_kernel_never_did_is_counterfactual(changes, expected):
    """Another design, batch or rule of a version; `unaccounted` is a boot option."""
    assert tiny(kernel="linux-4.19", **changes).counterfactual is expected


def test_rows_are_alike_whatever_reads_a_point(reads):
    """Watching a point changes nothing of its row."""
    found = simulate([base("bytes")]).points

    assert all(np.array_equal(found[name], values) for name, values in simulate([base("bytes")]).points.items())
    assert reads


def test_every_field_of_a_point_is_declared():
    """Designs included, down to the last record inside."""
    for cls in (Point, Design, *(type(value) for value in vars(base("bytes")).values() if is_dataclass(value))):
        assert {field.name for field in fields(cls)} == set(fields_of(cls))
