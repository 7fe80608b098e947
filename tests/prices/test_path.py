"""The price of the kernel's charge path, out of what its accounting was seen to cost."""

from dataclasses import replace

import pytest

from core.charge.count import count
from core.prices.contention import price
from core.prices.path import one_process, path_price
from tests.support.points import default_point

CACHES = {"dentry": 1, "filp": 2}


@pytest.mark.parametrize(("kernel", "name"), [("linux-6.1", "byte_stock_ns"), ("linux-5.4", "percpu_call_ns")])
def test_a_price_is_what_the_sweep_would_need_to_say_the_same(profile_of, kernel, name):
    """Round trip: what `price` says an object costs alone gives back the price that it was made with."""
    whole = default_point(kernel=profile_of(kernel))
    whole = replace(whole, host=replace(whole.host, **{name: 23.5}))
    point = one_process(whole, CACHES)
    object_ns = float(price([point], count([point]))["ns_per_object_uncontended"][0])

    other = replace(whole, host=replace(whole.host, **{name: 99.0}))
    assert path_price(other, CACHES, object_ns) == (name, pytest.approx(23.5))


def test_less_than_the_other_prices_is_no_price(profile_of):
    """An object that costs less than its atomics alone was not measured well enough to say anything."""
    assert path_price(default_point(kernel=profile_of("linux-6.1")), CACHES, 0.1) is None
