"""What a signal does to a driver: the first stops it, the second waits, the third kills."""

import os
import signal
import subprocess
import sys

import pytest

from sweep.engine import signals
from tests.support.commands import python

DRIVER = """
import signal, time
from sweep.engine import signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may do so under nohup
signals.install()
try:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except signals.Stopped as stop:
        with signals.postponed():
            print("stopping", flush=True)
            time.sleep({busy_s})
        print("manifest written", flush=True)
        raise SystemExit(stop.status)
except signals.Stopped:
    print("never", flush=True)
"""


def driver(busy_s):
    """A process that takes so long to stop."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(busy_s=busy_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", signals.STATUS)
def test_a_second_signal_waits(number):
    """Of two signals the second waits until what must be written is written."""
    process = driver(0.5)
    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(number)
    said = process.communicate(timeout=30)[0]

    assert said == "manifest written\n"
    assert process.returncode == 128 + number


def test_a_third_signal_kills():
    """Whoever insists is obeyed at once, without a traceback."""
    process = driver(60)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        if process.poll() is None:
            signal.sigtimedwait([], 0.3)
    said = process.communicate(timeout=30)[0]

    assert said == ""
    assert process.returncode == -signal.SIGINT


def test_a_signal_at_the_very_end_does_not_change_the_status():
    """Of a driver that was stopped and has written everything, a second signal makes no other status."""
    code = (
        "import atexit, os, signal, sys; from sweep.engine import signals\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM): kill(pid, number)\n"
        "sys.late = Late()  # goes when modules do, after all that is registered for the end\n"
        "signals.install(); sys.exit(143)"
    )

    assert python(code) == (143, "", "")


def test_what_goes_wrong_after_a_dropped_signal_is_no_refusal():
    """A library that drops what a signal raised goes on with half of what it needs: the run was stopped, no more."""
    code = (
        "import os, signal; from sweep import command; from sweep.config import schema\n"
        "def register():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except BaseException: pass\n"
        "    raise KeyError('defaults')\n"
        "schema.register = register; command.obey(['+experiment=smoke'])"
    )

    assert python(code) == (143, "", "stopped; the same command resumes\n")


def test_a_signal_in_a_finaliser_stops_the_run_and_says_nothing():
    """Python drops there what a handler raises, with a page of its own: the next look at signals raises it again."""
    code = (
        "import os, signal; from sweep.engine import signals\n"
        "class Brief:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\n"
        "signals.install(); Brief()\n"
        "try: signals.check()\n"
        "except signals.Stopped as stop: print(stop.status)"
    )

    assert python(code) == (0, "143\n", "")


@pytest.mark.usefixtures("own_signals")
def test_a_signal_is_held_back():
    """What is postponed is done to its end, and the signal stops the run after it."""
    done = []
    with pytest.raises(signals.Stopped), signals.postponed():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("to its end")

    assert done == ["to its end"]


def test_nohup_is_obeyed():
    """Where SIGHUP is ignored it stays ignored."""
    code = "import signal; from sweep.engine import signals; signals.install(); print(signal.getsignal(signal.SIGHUP))"
    done = subprocess.run(["nohup", sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(signal.SIG_IGN)


@pytest.mark.parametrize(("module", "library"), [("sweep", "hydra"), ("analysis", "duckdb")])
def test_a_signal_before_anything_began_says_nothing(module, library):
    """Ctrl-C while libraries are imported: the process ends by it, without a page of Python's."""
    code = (
        "import builtins, os, runpy, signal, sys; real = builtins.__import__\n"
        "def late(name, *rest, **more):\n"
        f"    if name == '{library}': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest, **more)\n"
        f"builtins.__import__ = late; sys.argv = ['{module}', '--help']\n"
        f"runpy.run_module('{module}', run_name='__main__')"
    )

    assert python(code) == (-signal.SIGINT, "", "")
