"""What is kept, for whom, and when it is let go of."""

import weakref

from core.kept import Keyed, latest, let_go, some


class Large:
    """Something that one would not like to have twice."""

    def __init__(self, size):
        self.size = size


def test_what_is_worked_out_last_is_kept_and_gone_before_the_next():
    """The same key is worked out once; when another is, what was kept is no longer there."""
    made = []

    @latest()
    def large(of):
        assert all(each() is None for each in made)
        found = Large(of.of)
        made.append(weakref.ref(found))
        return found

    assert large(Keyed("a", 1)).size == large(Keyed("a", 2)).size == 1
    assert large(Keyed("b", 3)).size == 3
    assert len(made) == 2
    large.keep_only(Keyed("b", 4))
    assert made[1]() is not None
    large.keep_only(Keyed("c", 4))
    assert made[1]() is None
    assert large(Keyed("b", 5)).size == 5


def test_what_is_kept_serves_whom_it_is_enough_for():
    """A larger one serves a smaller, and is replaced where it is too small."""

    @latest(serves=lambda kept, wanted: kept.size >= wanted)
    def large(of):
        return Large(of.of)

    assert [large(Keyed("a", size)).size for size in (2, 1, 2, 3, 2)] == [2, 2, 2, 3, 3]


def test_all_that_is_kept_is_let_go_of():
    """Whichever function keeps it, and however many: it is worked out anew."""
    made = []

    def working_out(of):
        made.append(of.of)
        return Large(of.of)

    one, several = latest()(working_out), some(2)(working_out)
    kept = [weakref.ref(keeping(Keyed("a", size))) for keeping, size in ((one, 1), (several, 2))]
    assert all(each() is not None for each in kept)

    let_go()

    assert [each() for each in kept] == [None, None]
    assert [one(Keyed("a", 3)).size, several(Keyed("a", 4)).size, made] == [3, 4, [1, 2, 3, 4]]
