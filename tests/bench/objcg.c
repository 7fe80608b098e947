/* Charging by bytes, one obj_cgroup per CPU's byte stock, as one would write it in C; nothing goes offline. */
#include <stdint.h>

enum { ALLOC, FREE };
enum { UNCACHED = -1 };

struct event {
	uint8_t kind, early;
	uint16_t cache;
	int32_t memcg, object;
	uint32_t cpu_hash;
} __attribute__((packed));

struct page_event {
	int32_t kind, cpu, memcg, cache, pages, dead;
};

struct rules {
	int32_t carries_bytes, caches_stat, refill_to_stock, drain_to_stock, tryget, css_get, page_bytes;
};

struct stock {
	int32_t who, bytes, stats[2];
};

struct world {
	const struct rules *is;
	int32_t *charged;
	struct page_event *out;
	int64_t byte_atomics, percpu_refs, stat_updates, pages_out;
};

static void emit(struct world *w, int kind, int cpu, int memcg, int pages)
{
	w->out[w->pages_out++] = (struct page_event){ kind, cpu, memcg, 0, pages, 0 };
}

static void uncharge(struct world *w, int cpu, int who, int pages, int to_stock)
{
	w->percpu_refs += 2 * w->is->css_get;
	emit(w, to_stock ? FREE : 4, cpu, who, pages);
}

static void flush(struct world *w, struct stock *s)
{
	for (int i = 0; i < 2; i++) {
		w->stat_updates += s->stats[i] != 0;
		s->stats[i] = 0;
	}
}

static void drain(struct world *w, struct stock *s, int cpu)
{
	if (s->bytes) {
		int pages = s->bytes / w->is->page_bytes;

		if (pages)
			uncharge(w, cpu, s->who, pages, w->is->drain_to_stock);
		w->charged[s->who] += s->bytes % w->is->page_bytes;
		w->byte_atomics++;
		s->bytes = 0;
	}
	flush(w, s);
	s->who = UNCACHED;
	w->percpu_refs++;
}

static void serve(struct world *w, struct stock *s, int cpu, int who)
{
	if (s->who != UNCACHED)
		drain(w, s, cpu);
	w->percpu_refs++;
	s->who = who;
	w->byte_atomics += w->charged[who] || !w->is->carries_bytes;
	s->bytes = w->charged[who];
	w->charged[who] = 0;
}

static void refill(struct world *w, struct stock *s, int cpu, int who, int size, int allow)
{
	if (s->who != who) {
		serve(w, s, cpu, who);
		allow = 1;
	}
	s->bytes += size;
	if (s->bytes <= w->is->page_bytes)
		return;
	if (!w->is->carries_bytes) {
		drain(w, s, cpu);
	} else if (allow) {
		int pages = s->bytes / w->is->page_bytes;

		s->bytes %= w->is->page_bytes;
		uncharge(w, cpu, who, pages, w->is->refill_to_stock);
	}
}

static void account(struct world *w, struct stock *s, int cpu, int who, int item, int delta)
{
	int after;

	if (!w->is->caches_stat) {
		w->stat_updates++;
		return;
	}
	if (s->who != who)
		serve(w, s, cpu, who);
	after = s->stats[item] + delta;
	if (s->stats[item] && (after > w->is->page_bytes || after < -w->is->page_bytes)) {
		w->stat_updates++;
		after = 0;
	}
	s->stats[item] = after;
}

void charge(const struct event *events, int64_t n, const int64_t *full, const int64_t *items, int32_t (*objects)[2],
	    struct stock *stocks, int32_t *charged, int64_t cpus, const struct rules *is, struct page_event *out,
	    int64_t *sums)
{
	struct world w = { is, charged, out };

	for (int64_t i = 0; i < n; i++) {
		const struct event *e = &events[i];
		int cpu = (uint64_t)e->cpu_hash * cpus >> 32, allocates = e->kind == ALLOC;
		int32_t *me = objects[e->object], who, size;
		struct stock *s = &stocks[cpu];

		if (allocates) {
			me[0] = e->memcg;
			me[1] = e->cache;
		}
		who = me[0];
		size = full[me[1]];
		if (allocates) {
			w.percpu_refs += is->tryget ? 3 : 1;
			if (s->who == who && s->bytes >= size) {
				s->bytes -= size;
			} else {
				int pages = (size + is->page_bytes - 1) / is->page_bytes;

				w.percpu_refs += 2;
				emit(&w, ALLOC, cpu, who, pages);
				if (pages * is->page_bytes > size)
					refill(&w, s, cpu, who, pages * is->page_bytes - size, 0);
			}
		} else if (s->who == who && s->bytes + size <= is->page_bytes) {
			s->bytes += size;
		} else {
			refill(&w, s, cpu, who, size, 1);
		}
		account(&w, s, cpu, who, items[me[1]], allocates ? size : -size);
		if (!allocates) {
			me[0] = UNCACHED;
			w.percpu_refs++;
		}
	}
	sums[0] = w.byte_atomics;
	sums[1] = w.percpu_refs;
	sums[2] = w.stat_updates;
	sums[3] = w.pages_out;
}
