"""Debian's kernels, fetched without root: by an apt configuration of our own, from the archive that this machine uses.

Nothing of the machine's own apt is touched: sources, indexes and packages are in the user's cache. Which archive, and
which suites there are, is read from the machine's own sources, or given as `vm.mirror`.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import InputError, not_one_of
from sweep.places import cache_folder
from sweep.real.cache import once_per_node

RELEASES = ("bullseye", "bookworm", "trixie", "forky")  # code names, oldest first
SUITES = {  # series of a release's own kernel -> suites that have its updates; all others come with the backports
    "5.10": ("bullseye-security", "bullseye"),
    "6.1": ("bookworm-security", "bookworm"),
    "6.12": ("trixie-security", "trixie"),
}
BACKPORTS = ("trixie-backports",)
APT_SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "apt-cache", "dpkg-deb", "dpkg")
CONFIGURATION = """\
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Parts "-";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
"""


def fetch(series: str, mirror: str | None) -> Path:
    """Return the folder in the user's cache with `vmlinuz` and `package.json` (package, version, sha256) of a series.

    A series that was fetched stays what it was, so that a run can be resumed; remove its folder for a newer one.
    Raises InputError if the archive cannot be reached, or has no kernel of that series.
    """
    folder = cache_folder("vm/kernels") / series
    folder.mkdir(exist_ok=True)
    once_per_node(folder / "package.json", lambda path: _fetch(series, mirror, path))
    return folder


def fetched(series: str) -> bool:
    """Return whether a series is in the user's cache."""
    return (cache_folder("vm/kernels") / series / "package.json").exists()


def unpack(package: Path, target: Path) -> None:
    """Write the kernel image of a .deb to `target`; raise InputError if it has none."""
    if shutil.which("dpkg-deb") is None:
        raise InputError(
            f"vm.kernel must be a kernel image where there is no dpkg-deb (got {str(package)!r}); unpack it"
        )
    members = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=False)
    listed = subprocess.run(["tar", "-t"], input=members.stdout, capture_output=True, check=False)
    images = [name for name in listed.stdout.decode().splitlines() if re.search(r"/(vmlinuz|bzImage)[^/]*$", name)]
    if members.returncode or not images:
        raise InputError(f"vm.kernel must be a package with a kernel image (got {str(package)!r}); give a bzImage")
    image = subprocess.run(["tar", "-xO", images[0]], input=members.stdout, capture_output=True, check=True)
    target.write_bytes(image.stdout)


def _fetch(series: str, mirror: str | None, record: Path) -> None:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise InputError(f"vm.kernel must be a path where there is no {tool} (got {series!r}); give a bzImage")
    scratch = record.parent / "apt"
    _configure(scratch, series, mirror)
    updated = _apt(scratch, "apt-get", "-qq", "update")
    name, version, sha256 = _newest(scratch, series, updated.stderr)
    got = _apt(scratch, "apt-get", "-qq", "download", f"{name}={version}")
    packages = list(scratch.glob("*.deb"))
    if len(packages) != 1:
        raise InputError(f"vm.kernel={series}: {name} {version} cannot be fetched ({_last(got.stderr)}); try again")
    unpack(packages[0], record.parent / "vmlinuz")
    shutil.rmtree(scratch)
    record.write_text(json.dumps({"package": name, "version": version, "sha256": sha256}))


def _configure(folder: Path, series: str, mirror: str | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    signed = f" [signed-by={KEYRING}]" if KEYRING.exists() else ""
    suites = SUITES.get(series, BACKPORTS)
    lines = [f"deb{signed} {_archive(mirror, suite)} {suite} main\n" for suite in suites]
    (folder / "sources.list").write_text("".join(lines))
    (folder / "apt.conf").write_text(CONFIGURATION.format(folder=folder))


def _archive(mirror: str | None, suite: str) -> str:
    """Return where a suite is: a security suite has an archive of its own beside the main one."""
    security = suite.endswith("-security")
    if mirror is not None:
        return f"{mirror.rstrip('/')}-security" if security else mirror
    own = _own_archives()
    if not own:
        raise InputError(
            "vm.kernel must be a path, or vm.mirror the address of a Debian archive, where apt's own sources name "
            "none (got a series); give vm.mirror=URL"
        )
    plain = next((uri for uri, suites in own if not any(s.endswith("-security") for s in suites)), None)
    secure = next((uri for uri, suites in own if any(s.endswith("-security") for s in suites)), None)
    if security:
        return secure or f"{str(plain).rstrip('/')}-security"
    return plain or re.sub(r"-security/?$", "", str(secure))


@functools.cache
def _own_archives() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return address and suites of each entry of the machine's own apt sources that is of a Debian release."""
    files = [APT_SOURCES[0], *sorted(APT_SOURCES[1].glob("*.list")), *sorted(APT_SOURCES[1].glob("*.sources"))]
    entries = [
        entry
        for path in files
        if path.is_file()
        for entry in (_stanzas if path.suffix == ".sources" else _lines)(path.read_text(errors="replace"))
    ]
    return tuple((uri, suites) for uri, suites in entries if any(s.partition("-")[0] in RELEASES for s in suites))


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in text.splitlines():
        if found := re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line):
            yield found[1], (found[2],)


def _stanzas(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for stanza in re.split(r"\n\s*\n", text):
        kept = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
        fields = dict(re.findall(r"(?m)^(\w[\w-]*):\s*(.*)$", kept))
        if "deb" in fields.get("Types", "").split():
            for uri in fields.get("URIs", "").split():
                yield uri, tuple(fields.get("Suites", "").split())


def _newest(folder: Path, series: str, said: str) -> tuple[str, str, str]:
    """Return package, version and sha256 of the newest kernel of a series for virtual machines.

    From 7.0 on the image is in linux-binary-..., before in linux-image-...; unsigned ones are for those who sign.
    """
    pattern = rf"linux-(image|binary)-{re.escape(series)}[.+~][\w.+~-]*-cloud-amd64"
    names = _apt(folder, "apt-cache", "pkgnames", "linux-").stdout.split()
    offered = [name for name in names if re.fullmatch(pattern, name)]
    if any("-binary-" in name for name in offered):
        offered = [name for name in offered if "-binary-" in name]
    if not offered:
        known = sorted(
            {found[1] for name in names if (found := re.match(r"linux-image-(\d+\.\d+)[.+-].*-cloud-", name))}
        )
        if not known:
            raise InputError(
                f"vm.kernel={series}: the archive cannot be read ({_last(said)}); give vm.mirror=URL or a path"
            )
        raise InputError(not_one_of("vm.kernel", series, {*known, *SUITES}))
    shown = _apt(folder, "apt-cache", "show", *offered).stdout
    records = [dict(re.findall(r"(?m)^(Package|Version|SHA256): (.*)$", stanza)) for stanza in shown.split("\n\n")]
    newest = max((record for record in records if len(record) == 3), key=functools.cmp_to_key(_compare))
    return newest["Package"], newest["Version"], newest["SHA256"]


def _compare(one: dict[str, str], other: dict[str, str]) -> int:
    newer = ["dpkg", "--compare-versions", one["Version"], "gt", other["Version"]]
    return 1 if subprocess.run(newer, check=False).returncode == 0 else -1


def _apt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"APT_CONFIG": str(folder / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return subprocess.run(
        command, cwd=folder, env=environment | proxies, capture_output=True, text=True, check=False, timeout=600
    )


def _last(text: str) -> str:
    return (text.strip() or "no reason given").splitlines()[-1]
