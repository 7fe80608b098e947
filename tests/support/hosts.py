"""Hosts for tests, with round prices."""

from dataclasses import replace

from core.host import Host, Transfer

HOST = Host(
    name="test", grade="C", source="made up", sockets=2, cores_per_socket=4, cores_per_l3=2, threads_per_core=2,
    sockets_per_half=8, kind="near", t_plain_ns=1.0, t_local_ns=10.0,
    transfer_ns=Transfer(smt=5.0, l3=20.0, socket=100.0, socket_far_home=None, cross=200.0, cross_far=None),
    hold_ns=0.0, far_weight=1.0, walk_overlap=0.0, far_service_ns=0.0, llsc_base_ns=0.0, llsc_retry_ns=0.0,
    percpu_call_ns=0.0, atomic_call_ns=0.0, byte_stock_ns=0.0, lock_ns=20.0, list_node_ns=1.0, page_think_ns=500.0,
    object_think_ns=30.0, grace_period_ms=20.0, shrink_ms_per_memcg=1.0, ipi_ns=2000.0,
    work_ns=2000.0, cpu_check_ns=30.0, kernfs_node_ns=500.0, percpu_area_ns=1000.0,
)  # fmt: skip


def host(**changes):
    """Return HOST with some prices changed; transfer times are given as a dict."""
    if "transfer_ns" in changes:
        changes["transfer_ns"] = replace(HOST.transfer_ns, **changes["transfer_ns"])
    return replace(HOST, **changes)
