/* Stocks of several memcgs per CPU, one batch at a time, as one would write it in C: Linux 6.16 on, slots in turn. */
#include <stdint.h>

enum { ALLOC, FREE };
enum { SLOTS = 7, NOBODY = -2 };

struct stock {
	int32_t who[SLOTS], pages[SLOTS], turn;
};

struct tally {
	int32_t hits, drains;
};

static void drain(struct stock *s, int at, struct tally *out)
{
	out->drains += s->pages[at] > 0;
	s->who[at] = NOBODY;
	s->pages[at] = 0;
}

void slots(const uint8_t *kind, const int32_t *cpu, const int32_t *who, const int32_t *pages, int64_t n, int32_t batch,
	   struct stock *stocks, struct tally *out)
{
	for (int64_t i = 0; i < n; i++) {
		struct stock *s = &stocks[cpu[i]];
		int mine = -1, empty = -1;
		int32_t put = pages[i];

		for (int at = 0; at < SLOTS; at++) {
			if (s->who[at] == who[i]) {
				mine = at;
				break;
			}
			if (s->who[at] == NOBODY && empty == -1)
				empty = at;
		}
		if (kind[i] == ALLOC) {
			if (mine != -1 && put <= batch && s->pages[mine] >= put) {
				s->pages[mine] -= put;
				out->hits++;
				continue;
			}
			put = batch - put;
			if (put <= 0)
				continue;
		} else if (put > batch) {
			out->drains++;
			continue;
		}
		if (mine != -1) {
			s->pages[mine] += put;
			if (s->pages[mine] > batch)
				drain(s, mine, out);
			continue;
		}
		if (empty == -1) {
			empty = s->turn;
			s->turn = (empty + 1) % SLOTS;
			drain(s, empty, out);
		}
		s->who[empty] = who[i];
		s->pages[empty] = put;
	}
}
