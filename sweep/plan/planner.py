"""Read the axes of a config and make the plan of them, or say in one line why that cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from core.params import never_had
from sweep.config.records import GROUPS
from sweep.config.schema import PLANNED, RUN_KEYS, every_key, text_keys
from sweep.config.units import plain
from sweep.errors import InputError, choose_from, not_one_of, one_line
from sweep.plan.axes import SPACINGS, Listed, Sampled, Spaced, Values, parse
from sweep.plan.expand import Expander
from sweep.plan.plan import Dim, Plan

RANGE_KINDS = {*SPACINGS, "pow2"}
MOST_POSITIONS = 1 << 62  # positions are int64
SAMPLERS = {"lhs": "LatinHypercube", "sobol": "Sobol"}  # classes of scipy.stats.qmc

FEW = 8  # values that a line lists

LoadOption = Callable[[str, str], Mapping[str, Any]]


def plan(config: DictConfig, load_option: LoadOption) -> Plan:
    """Return the plan that a composed config spells; `load_option` reads one option of a group."""
    whole: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    base = {key: value for key, value in whole.items() if key not in RUN_KEYS}
    for key in set(base) - set(every_key()):
        raise InputError(choose_from(key, key, every_key()))
    axes = {path: _axis(config, base, path, spec) for path, spec in flat(whole["axes"])}
    options = {
        group: {name: load_option(group, name) for name in _names(axes[group])} for group in GROUPS if group in axes
    }
    dims = [*_zipped(axes, whole["zip"]), *_sampled(axes, whole["sample"])]
    walked = {path for dim in dims for path in dim.paths}
    dims += [
        Dim((path,), (_distinct(v, options[path]) if path in options else v,))
        for path, v in axes.items()
        if path not in walked and not isinstance(v, Sampled)
    ]
    dims.append(Dim((PLANNED,), (_replicates(whole["replicates"]),)))
    result = Plan(base, _ordered(dims, base), whole["where"], options)
    _check(result)
    return result


def counterfactual(plan: Plan) -> str | None:
    """Return the line that says what of a plan its kernels never did; None where there is nothing."""
    expander = Expander(plan)
    found: dict[str, dict[str, tuple[dict[str, None], Any]]] = {}
    for position in plan.kept(plan.pairs("kernel")):
        point = expander.point(plan.values(position))
        for name, (value, own) in never_had(point).items():
            values, _ = found.setdefault(point.kernel.name, {}).setdefault(name, ({}, own))
            values[_shown(value)] = None
    if not found:
        return None
    kernel, fields = next(iter(found.items()))
    what = " ".join(f"{name}={_few(list(values))}" for name, (values, _) in fields.items())
    own = ", ".join(_shown(own) for _, own in fields.values())
    more = f", nor did {_few(list(found)[1:])} have what is asked of it" if len(found) > 1 else ""
    return f"{what}: {kernel} never had it (its own is {own}){more}; rows are marked counterfactual"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _few(names: list[str]) -> str:
    return ",".join(names) if len(names) <= FEW else f"{','.join(names[:FEW])},..."


def _names(axis: Values | Sampled) -> tuple[str, ...]:
    if not isinstance(axis, Listed):
        raise InputError("axes of a group must be a list of names (got a range); write the names out")
    return axis.values


def _distinct(names: Values, options: Mapping[str, Mapping[str, Any]]) -> Values:
    """Return the names of a group without those that mean what an earlier one does, as 5.15 and ubuntu-22.04 do."""
    assert isinstance(names, Listed)
    found: list[str] = []
    for name in names.values:
        if all(options[name] != options[each] for each in found):
            found.append(name)
    return Listed(tuple(found))


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the config path and the values of every axis of a tree."""
    for name, node in tree.items():
        if isinstance(node, Mapping) and node and not RANGE_KINDS & set(node):
            yield from flat(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node


def _axis(config: DictConfig, base: Mapping[str, Any], path: str, spec: Any) -> Values | Sampled:
    if path in text_keys() and isinstance(spec, list) and (numbers := [each for each in spec if type(each) is float]):
        raise InputError(
            f"axes.{path} must be text (got the number {numbers[0]}: YAML drops the zero of 5.10); "
            'write versions in quotes, such as "5.10"'
        )
    if path in GROUPS:
        return parse(path, spec, str)
    spec = plain(path, spec, {})
    node: Any = base
    for at, name in enumerate(path.split(".")):
        if at and not isinstance(node, Mapping):
            parent = ".".join(path.split(".")[:at])
            raise InputError(not_one_of(f"axes.{parent}", name, RANGE_KINDS))
        if not isinstance(node, Mapping) or name not in node:
            known = [".".join([*path.split(".")[:at], key]) for key in node] if isinstance(node, Mapping) else []
            raise InputError(f"axes.{choose_from(path, path, known)}")
        node = node[name]
    if isinstance(node, Mapping | list):
        raise InputError(f"axes.{path} must be a key with one value (got a group of {len(node)}); vary a key inside it")
    probe = config.copy()

    def convert(value: Any) -> Any:
        try:
            OmegaConf.update(probe, path, value)
        except OmegaConfBaseException as error:
            raise InputError(f"axes.{path} cannot take {value!r}: {one_line(error)}") from error
        return OmegaConf.select(probe, path)

    return parse(path, spec, convert)


def _replicates(replicates: int) -> Values:
    return Listed((0,)) if replicates == 1 else Spaced("lin", 0, replicates - 1, replicates, whole=True)


def _zipped(axes: Mapping[str, Values | Sampled], groups: list[list[str]]) -> Iterator[Dim]:
    seen: set[str] = set()
    for group in groups:
        for path in group:
            if path not in axes:
                raise InputError(f"zip: {choose_from(path, path, axes)}")
            if path in seen:
                raise InputError(f"zip must name an axis once (got {path!r} twice); remove one")
            seen.add(path)
        columns = [axes[path] for path in group]
        if not all(isinstance(column, Values) for column in columns):
            raise InputError(
                f"zip must name lists and counted ranges (got a range to sample among {group}); give it a count"
            )
        lengths = {path: len(axes[path]) for path in group}  # type: ignore[arg-type]
        if len(set(lengths.values())) != 1:
            raise InputError(f"zip must name axes of one length (got {lengths}); make them equally long")
        yield Dim(tuple(group), tuple(columns))  # type: ignore[arg-type]


def _sampled(axes: Mapping[str, Values | Sampled], sample: Mapping[str, Any]) -> Iterator[Dim]:
    ranges = {path: axis for path, axis in axes.items() if isinstance(axis, Sampled)}
    if not sample and not ranges:
        return
    if not ranges:
        raise InputError(
            "sample must have an axis to draw (got none); give one as {log: [low, high]} or {lin: [low, high]}"
        )
    if not sample:
        first = next(iter(ranges))
        raise InputError(
            f"axes.{first} must have a count, [low, high, n], or a sample must draw it (got two numbers); "
            "add the count, or sample={method: sobol, n: 1024, seed: 1}"
        )
    if set(sample) != {"method", "n", "seed"}:
        raise InputError(
            f"sample must have method, n and seed (got {sorted(sample)}); write {{method: lhs, n: 1000, seed: 1}}"
        )
    method, n, seed = sample["method"], sample["n"], sample["seed"]
    if method not in SAMPLERS:
        raise InputError(not_one_of("sample.method", method, SAMPLERS))
    if not all(isinstance(value, int) and value >= least for value, least in ((n, 1), (seed, 0))):
        raise InputError(
            f"sample.n and sample.seed must be whole numbers, n at least 1 (got {n!r}, {seed!r}); correct them"
        )
    if method == "sobol" and n & (n - 1):
        raise InputError(
            f"sample.n must be a power of two for sobol, whose balance depends on it (got {n}); "
            f"use {1 << n.bit_length()}, or lhs"
        )
    from scipy.stats import qmc  # a second to import, and few plans are sampled

    unit = getattr(qmc, SAMPLERS[method])(d=len(ranges), rng=seed).random(n)
    yield Dim(tuple(ranges), tuple(axis.drawn(unit[:, at]) for at, axis in enumerate(ranges.values())))


def _ordered(dims: list[Dim], base: Mapping[str, Any]) -> tuple[Dim, ...]:
    """Sort digits: scenarios, then machines, for points of one machine share its replay, then as a point lists fields.

    Of scenarios, realisations come first: at every churn rate one has the same streams, which are drawn once. The order
    on the command line is nobody's wish.
    """
    fields = [*base, PLANNED]

    def place(dim: Dim) -> tuple[Any, ...]:
        name = dim.paths[0].split(".")[0]
        return not dim.of_scenario, not dim.of_realisation, not dim.of_machine, fields.index(name), dim.paths

    return tuple(sorted(dims, key=place))


def _check(plan: Plan) -> None:
    if plan.positions >= MOST_POSITIONS:
        raise InputError(f"axes must give fewer than 2^62 points (got {plan.positions:.3g}); shorten some")
    if plan.where is not None and not plan.count():
        raise InputError(f"where must leave a point (got {plan.where!r}, which leaves none); loosen it")
    expander = Expander(plan)
    for position in plan.kept(plan.probes()):
        try:
            expander.point(plan.values(position))
        except InputError:
            raise
        except ValueError as error:
            line = str(error).splitlines()[0]
            raise InputError(_way_out(plan, expander, position, line)) from error


def _way_out(plan: Plan, expander: Expander, position: int, line: str) -> str:
    """Return a broken rule as a line; which axes must not meet so, where it is none of them alone."""
    settings = plan.values(position)
    meet = [dim for dim in plan.dims if any(_is_point(expander, other) for other in plan.neighbours(position, dim))]
    paths = [path for dim in meet for path in dim.paths]
    if len(meet) < 2:
        return line if ";" in line else f"{line}; give a value that keeps the rule"
    met = " with ".join(f"{path}={_shown(settings[path])}" for path in paths)
    axes = " and ".join(f"axes.{path}" for path in paths)
    return (
        f"{axes} must not meet so (got {met}: {line.partition(';')[0]}); "
        f"walk them together, zip=[[{','.join(paths)}]], or leave such points out with where"
    )


def _is_point(expander: Expander, settings: Mapping[str, Any]) -> bool:
    try:
        expander.point(settings)
    except ValueError:
        return False
    return True
