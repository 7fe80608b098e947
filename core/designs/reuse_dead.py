"""Never merged: a new cgroup takes over a dead memcg of the same parent instead of allocating one.

Proposed as the other way out in the thread, and called 'kinda unfair, because a fresh cgroup would get a legacy of
objects' (message 20190418081538.prspe27lqudvvu3u@esperanza); the answer was that a dead memcg is an almost fully
working one with sockets, page cache and limits (message 20190418182714.GD11008@tower.DHCP.thefacebook.com). The charge
path is that of Linux 5.2; the percpu_ref of the css is re-armed at take-over, which needs the kill confirmed first.
"""

from core.designs.design import Design

reuse_dead = Design(
    name="reuse_dead",
    colour="#8f6bd6",
    essence="a new cgroup takes over a dead one of its parent, caches and charges included",
    source="message 20190418081538.prspe27lqudvvu3u@esperanza; charge path of Linux 5.2",
    per_memcg_caches=True,
    slab_pins="memcg",
    reuses_dead=True,
    charges="pages",
    page_ref=True,
)
