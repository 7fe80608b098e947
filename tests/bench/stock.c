/* The stock of one memcg per CPU, as one would write it in C: one batch at a time, and all batches as vector lanes. */
#include <stdint.h>

enum { ALLOC, FREE };
enum { LANES = 32, NOBODY = -2 };

struct tally {
	int32_t hits, drains;
};

void scalar(const uint8_t *kind, const int32_t *cpu, const int32_t *who, const int32_t *pages, int64_t n, int32_t batch,
	    int32_t (*stock)[2], struct tally *out)
{
	int32_t hits = 0, drains = 0;

	for (int64_t i = 0; i < n; i++) {
		int32_t *mine = stock[cpu[i]], put = pages[i];

		if (kind[i] == ALLOC) {
			if (mine[0] == who[i] && mine[1] >= pages[i] && pages[i] <= batch) {
				mine[1] -= pages[i];
				hits++;
				continue;
			}
			put = batch - pages[i];
			if (put <= 0)
				continue;
		}
		if (mine[0] != who[i]) {
			drains += mine[1] > 0;
			mine[0] = who[i];
			mine[1] = 0;
		}
		mine[1] += put;
		if (mine[1] > batch) {
			drains++;
			mine[0] = NOBODY;
			mine[1] = 0;
		}
	}
	out->hits = hits;
	out->drains = drains;
}

void lanes(const uint8_t *kind, const int32_t *cpu, const int32_t *who, const int32_t *pages, int64_t n,
	   const int32_t *batch, int32_t (*restrict stock)[2][LANES], int32_t *restrict hits, int32_t *restrict drains)
{
	for (int64_t i = 0; i < n; i++) {
		int32_t *restrict owner = stock[cpu[i]][0], *restrict held = stock[cpu[i]][1];
		const int32_t me = who[i], want = pages[i];

		if (kind[i] == ALLOC) {
			for (int lane = 0; lane < LANES; lane++) {
				int32_t same = owner[lane] == me;
				int32_t hit = same & (held[lane] >= want) & (batch[lane] >= want);
				int32_t refill = !hit & (batch[lane] > want);
				int32_t kept = same ? held[lane] : 0;

				hits[lane] += hit;
				drains[lane] += refill & !same & (held[lane] > 0);
				owner[lane] = refill ? me : owner[lane];
				held[lane] = hit ? held[lane] - want : refill ? kept + batch[lane] - want : held[lane];
			}
		} else {
			for (int lane = 0; lane < LANES; lane++) {
				int32_t same = owner[lane] == me;
				int32_t after = (same ? held[lane] : 0) + want;
				int32_t over = after > batch[lane];

				drains[lane] += (!same & (held[lane] > 0)) + over;
				owner[lane] = over ? NOBODY : me;
				held[lane] = over ? 0 : after;
			}
		}
	}
}
