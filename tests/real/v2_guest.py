"""PID 1 of a virtual machine that has cgroup v2 alone: runs what backend=live does there, as root and as a user.

Prints a line of JSON for each thing seen. `test_live_v2.py` packs it with an interpreter, and reads the lines.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, "/app")
USER, NOBODY = 1000, 65534
POWER_OFF = 0x4321FEDC
TOP, DELEGATED = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/user")
CHURN = {"do": "churn", "cgroups": 10, "files": 4, "keep": 1, "warm_ms": 5, "limit_s": 60}
libc = ctypes.CDLL(None, use_errno=True)


def say(what, **seen):
    print("@" + json.dumps({"what": what} | seen, default=str), flush=True)


def mount(kind, where):
    Path(where).mkdir(parents=True, exist_ok=True)
    if libc.mount(kind.encode(), where.encode(), kind.encode(), 0, b""):
        raise OSError(ctypes.get_errno(), where)


def as_user(uid, cgroup, script):
    """Fork a process of another user into a cgroup, if one is given, and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        if cgroup is not None:
            with open(cgroup / "cgroup.procs", "wb", 0) as procs:
                procs.write(b"0")
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        script()
    except BaseException as error:
        say("failed", why=repr(error), where=traceback.format_exc())
    os._exit(0)


def ran(asked):
    from sweep.real import churn

    done = subprocess.run([sys.executable, "-I", churn.__file__, json.dumps(asked)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr)
    return json.loads(done.stdout)


def measured(who):
    from sweep.real import place

    where = place.find()
    with place.working_in(where) as (base, files):
        churned = ran(CHURN | {"base": str(base), "files_in": str(files)})
        (base / "cost").mkdir()
        places = {"accounted": str(base / "cost")} | ({"unaccounted": str(where.root)} if where.root else {})
        costs = ran({"do": "cost", "cpus": [0], "places": places, "files_in": str(files)})["cpus"][0]
        (base / "cost").rmdir()
    say(who, where=vars(where), churned=churned)
    least = {name: {each: min(ns) for each, ns in chunks.items()} for name, chunks in costs.items()}
    left = [path.name for path in where.parent.iterdir() if place.NAME in path.name]
    control = (where.parent / "cgroup.subtree_control").read_text().split()
    say(f"{who} after", costs=least, left=left, control=control)


def to_be_killed():
    from sweep.real import place

    with place.working_in(place.find()) as (base, _):
        (base / "x").mkdir()
        sleeper = subprocess.Popen(["/python", "-c", "import time; time.sleep(600)"])
        (base / "x" / "cgroup.procs").write_text(str(sleeper.pid))
        say("at work", base=base)
        time.sleep(600)


def next_start():
    from sweep.real import place

    where = place.find()
    before = [path.name for path in (where.parent / place.NAME).glob("*-*")]
    say("next start", before=before, swept=place.swept(where), left=(where.parent / place.NAME).exists())


def without_rights():
    from sweep.real import place

    try:
        place.find()
    except place.InputError as error:
        say("nobody", line=str(error))


def main():
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp"), ("tmpfs", "/dev/shm")):
        mount(kind, where)
    mount("cgroup2", str(TOP))
    from sweep.real import place

    for folder in ("/tmp", "/dev/shm"):
        os.chmod(folder, 0o1777)
    measured("root")
    (TOP / "cgroup.subtree_control").write_text("+memory")
    DELEGATED.mkdir()
    for name in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(DELEGATED / name, USER, USER)
    os.waitpid(as_user(USER, DELEGATED, lambda: measured("user")), 0)
    killed = as_user(USER, DELEGATED, to_be_killed)
    until = time.monotonic() + 60
    while not list(DELEGATED.glob(f"{place.NAME}/*/x")) and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(2)
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    os.waitpid(as_user(USER, DELEGATED / place.LEAF, next_start), 0)
    os.waitpid(as_user(NOBODY, None, without_rights), 0)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        say("failed", why=repr(error), where=traceback.format_exc())
    say("done")
    libc.reboot(POWER_OFF)
    time.sleep(60)
