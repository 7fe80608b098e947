"""A read-only look at a node for some minutes, as CSV on stdout. Alone in one file, for Python 3.6 or later.

    ssh host python3 - --seconds 600 --every 10 < sweep/real/observe.py > host.csv

Nothing is made, changed or removed. What cannot be read is an empty field; root is not needed.
"""

import argparse
import csv
import os
import platform
import re
import sys
import time
from typing import Dict, Iterable, List, NamedTuple, NoReturn, Optional, Set

Value = Optional[object]
Row = Dict[str, Value]

COLUMNS = (
    "time",  # s since 1970
    "num_cgroups",  # /proc/cgroups, line memory: online, dying and the root; absent for a v2 controller since 6.15
    "nr_dying",  # cgroup v2: nr_dying_descendants of the root's cgroup.stat, by controller in further columns
    "directories",  # of the memory controller's hierarchy, the root included: num_cgroups less these are dying
    "percpu_bytes",  # /proc/meminfo
    "slab_bytes",
    "sreclaimable_bytes",
    "sunreclaim_bytes",
    "uptime_s",
    "kernel",
    "cpus_possible",
    "cpus_online",
    "nodes",
    "mounts",  # in this mount namespace
    "superblocks",  # of these mounts: list_lrus are per superblock
    "cgroup_version",  # of the hierarchy that has the memory controller
    "memory_bytes",
    "available_bytes",
    "cached_bytes",
    "read_bytes",  # from disks since boot: pgpgin of /proc/vmstat
    "reclaimed_bytes",  # since boot: pgsteal_kswapd and pgsteal_direct
    "page_bytes",
    "mkdir_hz",  # cgroups made per second since the row before
    "mkdir_by",  # inode: short-lived ones count too, up to the newest that was seen; polling: only those that were seen
)
MEMINFO = {
    "percpu_bytes": "Percpu",
    "slab_bytes": "Slab",
    "sreclaimable_bytes": "SReclaimable",
    "sunreclaim_bytes": "SUnreclaim",
    "memory_bytes": "MemTotal",
    "available_bytes": "MemAvailable",
    "cached_bytes": "Cached",
}
DYING = "nr_dying_subsys_"  # of cgroup.stat since 6.12, by controller
LOOKS_S = 0.5  # between two looks at the directories
QUIET = 50  # looking takes at most one part in so many of a CPU's time
NEWEST = 8  # directories whose files are counted


class Hierarchy(NamedTuple):
    """Where the memory controller is: cgroup version and the path that it is mounted at; None where there is none."""

    version: Optional[int]
    path: Optional[str]


def read(root: str, path: str) -> str:
    """Return the text of a file below `root`; '' where it cannot be read."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def pairs(text: str) -> Dict[str, int]:
    """Return the lines of `text` that are a name and a number."""
    found = re.findall(r"^(\S+?):?\s+(\d+)\b", text, re.MULTILINE)
    return {name: int(number) for name, number in found}


def how_many(ranges: str) -> Optional[int]:
    """Return how many numbers a list such as '0-3,8' has; None for an empty one."""
    ends = [each.split("-") for each in ranges.strip().split(",") if each]
    return sum(int(each[-1]) - int(each[0]) + 1 for each in ends) or None


def hierarchy(root: str) -> Hierarchy:
    """Find the hierarchy that has the memory controller, by what is mounted."""
    unified = None
    for line in read(root, "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 5 or len(rest) < 3:
            continue
        path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), fields[4])
        if rest[0] == "cgroup" and "memory" in rest[2].split(","):
            return Hierarchy(1, path)
        if rest[0] == "cgroup2":
            unified = path
    number = re.search(r"^memory\s+(\d+)", read(root, "proc/cgroups"), re.MULTILINE)
    if unified is not None:
        on_it = "memory" in read(root, unified.lstrip("/") + "/cgroup.controllers").split()
        return Hierarchy(2 if on_it else None, unified)
    return Hierarchy((1 if int(number.group(1)) else 2) if number else None, None)


class Directories:
    """The directories of a hierarchy, looked at again and again, and how many were made meanwhile.

    kernfs numbers its nodes in the order in which they are made, a directory and each of its files. So what was made
    between two directories is told by their numbers, whether it is still there or not.
    """

    def __init__(self, top: Optional[str]) -> None:
        """Look for the first time; `top` is where the hierarchy is mounted."""
        self.top = top
        self.number: Optional[int] = None
        self.by = "inode"
        self.made = 0.0
        self.took_s = 0.0
        self._seen: Set[int] = set()
        self._newest = 0
        self.look()

    def look(self) -> None:
        """Count the directories, and what was made since the last look."""
        if self.top is None:
            return
        began = time.monotonic()
        first = self.number is None
        found: Dict[int, str] = {}
        self._walk(self.top, found)
        if not found:
            return
        self.number = len(found)
        new = sorted(set(found) - self._seen)
        self._seen = set(found)
        if not first and new:
            if new[0] <= self._newest:
                self.by = "polling"  # numbers are used again
            files = [self._files(found[inode]) for inode in new[-NEWEST:]]
            each = 1 + sum(files) / float(len(files))
            self.made += (new[-1] - self._newest) / each if self.by == "inode" and min(files) else len(new)
        self._newest = max(self._newest, *found)
        self.took_s = time.monotonic() - began

    def _walk(self, top: str, found: Dict[int, str]) -> None:
        stack = [top]
        try:
            found[os.stat(top).st_ino] = top
        except OSError:
            return
        while stack:
            try:
                with os.scandir(stack.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            found[entry.inode()] = entry.path
                            stack.append(entry.path)
            except OSError:
                continue  # removed while we looked, or not ours to read

    @staticmethod
    def _files(path: str) -> int:
        try:
            with os.scandir(path) as entries:
                return sum(1 for entry in entries if not entry.is_dir(follow_symlinks=False))
        except OSError:
            return 0


def sample(root: str, where: Hierarchy) -> Row:
    """Return what one row says, but for the directories."""
    memory, events = pairs(read(root, "proc/meminfo")), pairs(read(root, "proc/vmstat"))
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    row: Row = {column: memory[name] * 1024 if name in memory else None for column, name in MEMINFO.items()}
    mounts = [line.split() for line in read(root, "proc/self/mountinfo").splitlines()]
    uptime = read(root, "proc/uptime").split()
    cgroups = [line.split() for line in read(root, "proc/cgroups").splitlines() if line.startswith("memory")]
    stolen = [number for name, number in events.items() if re.match(r"pgsteal_(kswapd|direct)(_|$)", name)]
    row.update(
        time=round(time.time(), 3),
        num_cgroups=cgroups[0][2] if cgroups else None,
        uptime_s=uptime[0] if uptime else None,
        kernel=platform.release(),
        cpus_possible=how_many(read(root, "sys/devices/system/cpu/possible")),
        cpus_online=how_many(read(root, "sys/devices/system/cpu/online")),
        nodes=how_many(read(root, "sys/devices/system/node/online")),
        mounts=len(mounts) or None,
        superblocks=len({fields[2] for fields in mounts if len(fields) > 2}) or None,
        cgroup_version=where.version,
        page_bytes=page_bytes,
        read_bytes=events["pgpgin"] * 1024 if "pgpgin" in events else None,
        reclaimed_bytes=sum(stolen) * page_bytes if stolen else None,
    )
    if where.path is not None:
        for name, number in pairs(read(root, where.path.lstrip("/") + "/cgroup.stat")).items():
            if name == "nr_dying_descendants":
                row["nr_dying"] = number
            elif name.startswith(DYING):
                row["nr_dying_" + name[len(DYING) :]] = number
    return row


def remarks(root: str, where: Hierarchy, row: Row) -> Iterable[str]:
    """Yield what whoever reads the rows must know."""
    possible, online = row["cpus_possible"], row["cpus_online"]
    if isinstance(possible, int) and isinstance(online, int) and possible > online:
        yield (
            f"possible CPUs ({possible}) above online ones ({online}): per-CPU memory is allocated for every possible "
            f"one; the boot parameter possible_cpus={online} would spare the rest"
        )
    if where.path is None:
        yield "no cgroup file system with the memory controller is mounted here: directories and nr_dying are empty"
    elif where.version is None:
        yield "no memory controller is mounted here: directories and nr_dying are of " + where.path
    if where.path is not None and os.path.exists(os.path.join(root, where.path.lstrip("/"), "cgroup.events")):
        yield "a container's view: directories and nr_dying are its own, the rest is the host's; look on the host"


def observe(seconds: float, every: float) -> None:
    """Print the header, then a row at once and one after each `every` seconds until `seconds` are over."""
    root, began = "/", time.monotonic()
    where = hierarchy(root)
    directories = Directories(where.path)
    first = sample(root, where)
    for remark in remarks(root, where, first):
        print("observe: " + remark, file=sys.stderr)
    columns = [*COLUMNS, *sorted(set(first) - set(COLUMNS))]
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    made, at = 0.0, began
    for number in range(int(seconds / every) + 1):
        due = began + number * every
        while True:
            left = due - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, max(LOOKS_S, QUIET * directories.took_s)))
            directories.look()
        row = sample(root, where) if number else first
        now = time.monotonic()
        row["directories"] = directories.number
        if number and directories.number is not None:
            row["mkdir_hz"] = f"{(directories.made - made) / (now - at):.6g}"
            row["mkdir_by"] = directories.by
        made, at = directories.made, now
        writer.writerow(row)
        sys.stdout.flush()


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit 2."""
        print(f"observe: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command line; return the exit status."""
    parser = Parser(prog="observe", description="A read-only look at this node, as CSV on stdout.")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="N", help="how long to look (600)")
    parser.add_argument("--every", type=float, default=10.0, metavar="M", help="seconds between two rows (10)")
    asked = parser.parse_args(arguments)
    for name, value, least in (("--seconds", asked.seconds, 0.0), ("--every", asked.every, 0.1)):
        if not least <= value < float("inf"):
            parser.error(f"{name} must be a number of seconds, at least {least:g} (got {value:g}); correct it")
    try:
        observe(asked.seconds, asked.every)
    except KeyboardInterrupt:
        return 130  # the rows so far are whole
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is buffered
    return 0


if __name__ == "__main__":
    sys.exit(main())
