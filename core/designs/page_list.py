"""Never merged: a locked list of a memcg's charged slab pages, walked page by page at offline.

The alternative weighed and turned down in the thread, because the list 'would negatively affect SL[AU]B performance
since we would need to protect it with some kind of lock' (message 20190418081538.prspe27lqudvvu3u@esperanza). The
charge path is that of Linux 5.2 plus lock, list_add or list_del, unlock; offline rewrites the owner of every page and
moves its reference to the parent. The kmem_caches stay behind until they are empty. Assumption where the thread says
nothing: `page_list_lock` chooses between a lock per memcg, per memcg and node, and per kmem_cache.
"""

from core.designs.design import Design

page_list = Design(
    name="page_list",
    colour="#a6761d",
    essence="locked list of charged slab pages, reparented page by page",
    source="message 20190418081538.prspe27lqudvvu3u@esperanza; charge path of Linux 5.2",
    per_memcg_caches=True,
    slab_pins="kmem_cache",
    charges="pages",
    page_ref=True,
    lists_pages=True,
    reparents="pages",
)
