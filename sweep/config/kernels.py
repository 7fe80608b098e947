"""Kernels by the names that people type: a profile, a version, a release as `uname -r` prints it, a distribution.

Versions are text: 5.10 is no 5.1. A version that has no profile takes the rules of its own version and the sizes of the
profile of the same design that is most like it, and says so; what is older than the oldest profile or newer than the
newest is refused.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

from sweep.config import options
from sweep.errors import InputError, remark

PROFILES = options.CONF / "kernel"
READ = ("detected", "image")  # profiles that are read from a kernel, not from conf/
Version = tuple[int, int]

# a vendor's kernels, by the end of their release, whose code is newer than their version says: profile, and from which
# build on the charge batch is 64, as notes on the tests of the Linux Test Project say
ENTERPRISE = {"el8": ("rhel-8", 438), "el9": ("rhel-9", 191)}
OLD_BATCH_PAGES = 32
OF_BUILD = ("cgroup_v1", "memsw")  # rules that a configuration decides, whatever the version
ALIKE = 0.8  # names this alike are taken for a slip
LAST_MINORS = {4: 20, 5: 19, 6: 19}  # of the major versions that are complete


class Names(ConfigSource):
    """What Hydra asks for an option of the group `kernel` that has no file: `kernel=5.7`, `kernel=ubuntu-22.04`."""

    @staticmethod
    def scheme() -> str:
        """The scheme in `hydra.searchpath` of conf/config.yaml."""
        return "kernels"

    def available(self) -> bool:
        """Always: it has no place."""
        return True

    def is_group(self, config_path: str) -> bool:  # noqa: ARG002
        """It adds options to a group that conf/ has."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Whether the option is a kernel; raises InputError if it is asked for one and there is none of that name."""
        group, _, name = config_path.partition("/")
        return group == "kernel" and bool(profile(name.removesuffix(".yaml")))

    def load_config(self, config_path: str) -> ConfigResult:
        """The profile as one plain config."""
        values = profile(config_path.partition("/")[2].removesuffix(".yaml"))
        return ConfigResult(self.provider, f"{self.scheme()}://", OmegaConf.create(values), {"package": None})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:  # noqa: ARG002
        """Nothing: only files are shown as options."""
        return []


def register() -> None:
    """Let Hydra find kernels by name."""
    Plugins.instance().register(Names)


@functools.cache
def profile(name: str) -> dict[str, Any]:
    """Return the values of the kernel that `name` means, as conf/kernel/ spells them, and say what stands for it.

    Raises InputError if there is none.
    """
    known = profiles()
    if name in known:
        return options.option("kernel", name)
    means = aliases().get(name.lower(), name)
    if means in known:
        _say(name, f"{means} stands for it")
        return options.option("kernel", means)
    release = means.lower().removeprefix("linux-").removeprefix("v")
    if vendor := enterprise(release):
        base, batch = vendor
        if batch == options.option("kernel", base)["charge_batch_pages"]:
            _say(name, f"{base} stands for it")
            return options.option("kernel", base)
        _say(name, f"{base} stands for it, with a charge batch of {batch} pages")
        return options.option("kernel", base) | {"name": release, "charge_batch_pages": batch}
    version = version_of(release)
    if version is None or version[1] > LAST_MINORS.get(version[0], version[1]):
        near = difflib.get_close_matches(name, (*READ, *known, *aliases()), n=1, cutoff=ALIKE)
        rule = "a version such as 5.10, a release as uname -r prints it, a distribution such as debian-12, "
        rule += "or a profile" if near else f"or one of {', '.join((*READ, *known))}"
        meant = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"kernel must be {rule} (got {name!r}); {meant}docs/kernels.md has the distributions")
    exact = f"linux-{version_text(version)}"
    if exact in known:
        if name not in (exact, version_text(version)):
            _say(name, f"{exact} stands for it")
        return options.option("kernel", exact)
    _within(name, version, "" if means == name else f", Linux {means}")
    return _between(name, version)


def _within(name: str, version: Version, means: str) -> None:
    oldest, *_, newest = profile_versions()
    if version < oldest:
        way_out = "older ones, RHEL 7's 3.10 too, charge in ways that no design here has; RHEL 8's 4.18 is rhel-8"
    elif version > newest:
        way_out = "kernel=image reads what a newer build has"
    else:
        return
    raise InputError(
        f"kernel must be from {version_text(oldest)} to {version_text(newest)} (got {name!r}{means}); {way_out}"
    )


def _between(name: str, version: Version) -> dict[str, Any]:
    of_version = rules(version)
    base = nearest(version, of_version["design"])
    design = of_version["design"]
    _say(name, f"rules of {version_text(version)}, sizes of {base}, the profile of its design most like it, {design}")
    sizes = options.option("kernel", base)
    return {
        **sizes,
        **of_version,
        "name": f"linux-{version_text(version)}",
        "version": version_text(version),
        "source": f"rules of {version_text(version)}; sizes borrowed from {base}: {sizes['source']}",
    }


def rules(version: Version) -> dict[str, Any]:
    """Return what the version alone decides of a profile, as conf/kernel/_rules-*.yaml say."""
    since = {_parse(path.stem.removeprefix("_rules-")): path.stem for path in PROFILES.glob("_rules-*.yaml")}
    return options.option("kernel", since[max(each for each in since if each <= max(version, min(since)))])


def nearest(version: Version, design: str) -> str:
    """Return the profile whose sizes a version borrows: of the same design, and of those the one most like it.

    That is the one fewest of whose rules are others, for sizes change along with rules; of several the nearest version,
    and of two as near the newer.
    """
    of_version = rules(version)

    def unlike(other: Version) -> tuple[int, int, int]:
        differ = [key for key, value in rules(other).items() if key not in OF_BUILD and of_version[key] != value]
        return len(differ), abs(_index(other) - _index(version)), -_index(other)

    same = [each for each in profile_versions() if rules(each)["design"] == design]
    return f"linux-{version_text(min(same, key=unlike))}"


def enterprise(release: str) -> tuple[str, int] | None:
    """Return the profile and the charge batch, in pages, of a vendor's release such as 4.18.0-553.el8, if it is one."""
    found = re.match(r"\d+\.\d+\.\d+-(\d+)\b.*\.(el\d+)", release)
    if not found or found[2] not in ENTERPRISE:
        return None
    base, since = ENTERPRISE[found[2]]
    return base, options.option("kernel", base)["charge_batch_pages"] if int(found[1]) >= since else OLD_BATCH_PAGES


def version_of(release: str) -> Version | None:
    """Return major and minor version of a version or release; None if it is neither."""
    found = re.fullmatch(r"(\d+\.\d+)([.+-].*)?", release)
    return _parse(found[1]) if found else None


def version_text(version: Version) -> str:
    """Return a version as people write it."""
    return "{}.{}".format(*version)


@functools.cache
def profiles() -> tuple[str, ...]:
    """Return the names of all profiles that conf/ holds."""
    return tuple(sorted(path.stem for path in PROFILES.glob("[a-z]*.yaml") if path.stem not in READ))


@functools.cache
def profile_versions() -> tuple[Version, ...]:
    """Return the versions that have a profile of their own, oldest first."""
    return tuple(sorted(_parse(name.removeprefix("linux-")) for name in profiles() if name.startswith("linux-")))


@functools.cache
def aliases() -> dict[str, str]:
    """Return what people call kernels, and what each name stands for."""
    return options.file_values("kernel/_aliases")


def _parse(version: str) -> Version:
    major, minor = map(int, version.split("."))
    return major, minor


def _index(version: Version) -> int:
    return version[0] * 20 + version[1]  # each major version since 4 had 20 minor ones, 0 to 19


def _say(name: str, meaning: str) -> None:
    remark(f"kernel={name}: {meaning}")
