"""One driver per run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

from sweep.engine.progress import say
from sweep.engine.store import Store
from sweep.errors import InputError, first_line
from sweep.folder import LOCK

RENEW_S = 5.0  # a claim is written again this often; longer than the second that modification times are kept to
LEASE_S = 20.0  # a claim that has not been renewed for so long is that of a driver that died
WATCH_S = 1.0


@contextmanager
def held(store: Store) -> Iterator[None]:
    """Hold the run's lock; raise InputError if another driver has it, or if nothing can be written there."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_flock(store) if store.local else _claim(store))
        except OSError as error:
            reason = first_line(error)
            raise InputError(
                f"out must be a place one can write to (got {store.root}: {reason}); "
                "correct the address, the rights or the credentials"
            ) from error
        try:
            yield
        except InputError:
            _leave_nothing(store)  # what was refused leaves no folder behind
            raise


def _leave_nothing(store: Store) -> None:
    """Remove the folders of a run that was never begun."""
    if not store.local or sorted(os.listdir(store.path)) != [LOCK]:
        return
    with contextlib.suppress(OSError):  # other runs are there
        Path(store.path, LOCK).unlink()
        for made in (Path(store.path), *Path(store.path).parents[:2]):
            made.rmdir()


@contextmanager
def _flock(store: Store) -> Iterator[None]:
    """Lock a file: the lock dies with its holder."""
    path = Path(store.path) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise _in_use(store, file.read()) from error
        file.truncate(0)
        file.write(_me())
        file.flush()
        yield


@contextmanager
def _claim(store: Store) -> Iterator[None]:
    """Write a claim and renew it: object stores have no lock, but what is written there is seen by all at once.

    Where the store can write an object only if it is not there yet, one of those that come at once gets through the
    gate. Gate or not, whoever sees a second claim beside its own withdraws: so where there is none, two that come at
    once may both be refused, never both let in.
    """
    gate, mine = f"{LOCK}/gate-{_outwait(store)}", f"{LOCK}/{uuid.uuid4().hex}"
    own = [mine] if (through := _through(store, gate)) is None else [gate, mine]
    if through is False:
        raise _in_use(store, _holder(store, gate))
    ended = Event()
    renewal = Thread(target=_renew, args=(store, mine, ended), daemon=True)
    try:
        store.write(mine, _me().encode())
        for other in _claims(store):
            if other not in own:
                raise _in_use(store, _holder(store, other))
        renewal.start()
        yield
    finally:
        ended.set()
        if renewal.ident is not None:
            renewal.join()
        for path in own:
            with contextlib.suppress(OSError):  # it runs out by itself
                store.delete(path)


def _through(store: Store, gate: str) -> bool | None:
    """Return whether this driver is the first to write an object; None where that cannot be asked for.

    pyarrow cannot ask (26.0). obstore can, of S3; it knows the standard variables of the environment and a node's role,
    and nothing of what an address of pyarrow's may hold besides bucket and folder.
    """
    if not store.root.startswith("s3://") or {"?", "@"} & set(store.root):
        return None
    try:
        from obstore import put
        from obstore.exceptions import AlreadyExistsError, BaseError
        from obstore.store import from_url
    except ImportError:  # pip install memcg-sweep[s3]
        return None
    try:
        bucket = from_url(store.root, client_options={"allow_http": True}, retry_config={"max_retries": 0})
        put(bucket, gate, _me().encode(), mode="create")
    except AlreadyExistsError:
        return False
    except BaseError:  # credentials that pyarrow alone finds, or a server that does not know the condition
        return None
    return True


def _outwait(store: Store) -> int:
    """Remove claims that nobody renews; raise InputError as soon as one is seen to be renewed.

    Return the number of the next gate: that of a driver that died is never written again.
    """
    began, first = time.monotonic(), _claims(store)
    if first:
        say(f"waiting {LEASE_S:g} s to see whether {_holder(store, min(first))} still runs")
    while first and time.monotonic() < began + LEASE_S:
        time.sleep(WATCH_S)
        for claim, written in _claims(store).items():
            if first.get(claim) != written:
                raise _in_use(store, _holder(store, claim))
    for claim in first:
        with contextlib.suppress(FileNotFoundError):  # its driver ended well meanwhile, or another newcomer was faster
            store.delete(claim)
    numbers = [int(found[1]) for claim in first if (found := re.fullmatch(rf"{LOCK}/gate-(\d+)", claim))]
    return max(numbers, default=-1) + 1


def _renew(store: Store, mine: str, ended: Event) -> None:
    while not ended.wait(RENEW_S):
        with contextlib.suppress(OSError):  # a store out of reach for a moment; the next renewal may succeed
            if mine not in _claims(store):
                # this driver slept so long that another took the run over
                os.kill(os.getpid(), signal.SIGTERM)
                return
            store.write(mine, _me().encode())


def _claims(store: Store) -> dict[str, datetime]:
    """Return when each claim was last written, by the clock of the object store."""
    return {f"{LOCK}/{name}": written for name, written in store.written(LOCK)}


def _holder(store: Store, claim: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return store.text(claim)
    return "a driver that just ended"


def _me() -> str:
    return f"pid {os.getpid()} on {platform.node()}"


def _in_use(store: Store, holder: str) -> InputError:
    return InputError(
        f"out must not be in use by another driver (got {store.root}, held by {holder.strip()}); "
        "wait for it, or stop it"
    )
