"""Kernels by the names that people type."""

import re
import sys

import hydra
import pytest
from omegaconf import OmegaConf

from core.profile import KernelProfile
from sweep.__main__ import main
from sweep.config import kernels
from sweep.config.options import option
from sweep.config.records import build
from sweep.errors import InputError, remarks
from sweep.plan.planner import plan
from tests.support import CONF

TYPED = {  # what is typed -> name, design, batch
    "5.4": ("linux-5.4", "reparent_percpu", 32),
    "linux-5.4": ("linux-5.4", "reparent_percpu", 32),
    "5.10": ("linux-5.10", "objcg", 32),
    "5.1": ("linux-5.1", "page_ref", 32),
    "v6.1": ("linux-6.1", "objcg", 64),
    "6.12.118": ("linux-6.12", "objcg", 64),
    "5.15.0-91-generic": ("linux-5.15", "objcg", 32),
    "5.10.234-225.921.amzn2.x86_64": ("linux-5.10", "objcg", 32),
    "Ubuntu-22.04": ("linux-5.15", "objcg", 32),
    "debian-12": ("linux-6.1", "objcg", 64),
    "rhel-8": ("rhel-8", "objcg", 64),
    "rocky-9": ("rhel-9", "objcg", 64),
    "4.18.0-553.el8_10.x86_64": ("rhel-8", "objcg", 64),
    "4.18.0-372.9.1.el8.x86_64": ("4.18.0-372.9.1.el8.x86_64", "objcg", 32),
    "5.14.0-70.13.1.el9_0.x86_64": ("5.14.0-70.13.1.el9_0.x86_64", "objcg", 32),
    "4.20": ("linux-4.20", "page_ref", 32),
}
REFUSED = {
    "rhel-7": r"from 4.19 to \d\.\d+ \(got 'rhel-7', Linux 3.10\)",
    "3.10.0-1160.el7.x86_64": "RHEL 7's 3.10",
    "4.18": "RHEL 8's 4.18 is rhel-8",
    "99.1": r"kernel must be from .* \(got '99.1'\); kernel=image reads",
    "5.20": r"kernel must be a version .*\(got '5.20'\)",
    "linux": r"kernel must be a version .*\(got 'linux'\)",
}


@pytest.mark.parametrize("typed", TYPED)
def test_a_name_that_people_type_is_found(typed):
    """Hand-worked: versions, releases as uname -r prints them, distributions in any case."""
    found = kernels.profile(typed)

    assert (found["name"], found["design"], found["charge_batch_pages"]) == TYPED[typed]


@pytest.mark.parametrize("typed", REFUSED)
def test_a_kernel_that_nothing_stands_for_is_refused(typed):
    """What is older or newer than every profile, or no kernel, gets one line with the value and the way out."""
    with pytest.raises(InputError, match=REFUSED[typed]):
        kernels.profile(typed)


@pytest.mark.parametrize("alias", kernels.aliases())
def test_an_alias_stands_for_a_kernel_of_its_design_or_is_refused(alias):
    """A distribution's kernel is a profile, a version in between, or older than all of them."""
    means = kernels.aliases()[alias]
    version = kernels.version_of(means.removeprefix("linux-"))

    if version and version < kernels.profile_versions()[0]:
        with pytest.raises(InputError, match=re.escape(alias)):
            kernels.profile(alias)
    else:
        assert kernels.profile(alias)["design"] == kernels.profile(means)["design"]


def test_a_version_in_between_has_its_own_rules_and_sizes_of_its_design():
    """Hand-worked: 5.8 lies next to 5.9, whose design it has not, so its sizes are those of 5.4; and it is said."""
    kernels.profile.cache_clear()
    remarks()
    found = kernels.profile("5.8")

    assert found["design"] == "reparent_percpu"
    assert (found["memsw"], kernels.profile("5.7")["memsw"]) == (True, False)
    assert found["structs"] == option("kernel", "linux-5.4")["structs"]
    assert any(
        "kernel=5.8: rules of 5.8, sizes of linux-5.4, the profile of its design most like it" in line
        for line in remarks()
    )


@pytest.mark.parametrize(
    ("version", "lends"),
    [("5.1", "4.19"), ("5.14", "5.15"), ("5.18", "5.15"), ("6.0", "5.15"), ("6.4", "6.6"), ("6.10", "6.12")],
)
def test_sizes_come_from_the_kernel_most_like_it(version, lends):
    """Hand-worked: 5.18 and 6.0 are before the series that halved 6.1's statistics, whatever lies nearer."""
    assert option("kernel", f"linux-{lends}")["structs"] == kernels.profile(version)["structs"]


def test_sizes_never_come_from_another_design():
    """Every version between the oldest and the newest takes its sizes from a kernel of its design."""
    oldest, *_, newest = kernels.profile_versions()
    between = [(major, minor) for major in range(4, 8) for minor in range(20) if oldest < (major, minor) < newest]

    assert len(between) > 40
    for version in between:
        design = kernels.rules(version)["design"]
        assert option("kernel", kernels.nearest(version, design))["design"] == design


@pytest.mark.parametrize("version", kernels.profile_versions(), ids=kernels.version_text)
def test_the_rules_of_a_profile_are_those_of_its_version(version):
    """A mainline profile overrides no rule: what its version decides is what the chain of _rules-*.yaml says."""
    found, rules = option("kernel", f"linux-{kernels.version_text(version)}"), kernels.rules(version)

    assert {key: found[key] for key in rules} == rules


@pytest.mark.parametrize("typed", ["'5.7'", "ubuntu-22.04", "'5.10'"])
def test_hydra_finds_a_kernel_by_its_name(profile_of, typed):
    """In a composed config, on the command line or in the defaults of an experiment, as for a file."""
    assert profile_of(typed) == build(KernelProfile, kernels.profile(typed.strip("'")), "kernel.")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["kernel=5.10"], ["linux-5.10"]),
        (["kernel=5.1"], ["linux-5.1"]),
        (["axes.kernel=[5.10,6.1, 5.1]"], ["linux-5.10", "linux-6.1", "linux-5.1"]),
        (["axes.kernel=[5.10,'5.15',linux-6.1]"], ["linux-5.10", "linux-5.15", "linux-6.1"]),
        (["axes.objcg_as_of=[5.11]", "kernel=5.10"], ["linux-5.10"]),
    ],
)
def test_a_version_on_the_command_line_is_text(monkeypatch, written, names):
    """5.10 is not 5.1, alone and in lists, quoted or not: the plan has the kernels that were written."""
    plans = []
    monkeypatch.setattr(sys, "argv", ["memcg-sweep", *written])
    monkeypatch.setattr("sweep.asked.plan", lambda *given: plans.append(plan(*given)) or plans[-1])
    monkeypatch.setattr("sweep.run.run", lambda *_: 0)
    monkeypatch.setattr("sweep.engine.signals.install", lambda: None)  # Ctrl-C is the test's
    with pytest.raises(SystemExit):
        main()

    options = plans[0].options.get("kernel") or {"": plans[0].base["kernel"]}
    assert [each["name"] for each in options.values()] == names


def test_two_names_of_one_kernel_are_one_point():
    """5.15 and ubuntu-22.04 are linux-5.15: nothing is run, or averaged, twice."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", ["axes.kernel=['5.15', ubuntu-22.04, linux-6.1]"])

    assert plan(config, lambda _, name: kernels.profile(name)).positions == 2


def test_a_number_for_a_version_in_yaml_is_refused():
    """YAML has dropped the zero of 5.10 before anybody could see it."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", ["axes.kernel=[5.10, linux-6.1]"])

    with pytest.raises(InputError, match=r'axes.kernel must be text .*, such as "5.10"'):
        plan(config, lambda *_: {})


def test_the_page_on_kernels_has_every_name_and_every_rule():
    """docs/kernels.md: the row of a name has what it stands for, the row of a rule its version and value."""
    rows = (CONF.parent / "docs" / "kernels.md").read_text(encoding="utf-8").splitlines()

    for alias, means in kernels.aliases().items():
        assert any(f"`{alias}`" in row and means in row for row in rows), alias
    for name in kernels.profiles():
        assert any(row.startswith(f"| `{name}` | {option('kernel', name)['design']} |") for row in rows), name
    for path in (CONF / "kernel").glob("_rules-*.yaml"):
        for key, value in OmegaConf.load(path).items():
            said = str(value).lower() if isinstance(value, bool) else value
            found = [row.replace('"', "") for row in rows if row.startswith(f"| {path.stem.removeprefix('_rules-')} |")]
            assert key == "defaults" or any(f"`{key}: {said}`" in row for row in found), (path.stem, key)
