/* The loops of sweep/calibrate/atomics.py that the benchmark compares, as gcc -O2 compiles them. */
#include <stdint.h>

void add(int64_t *line, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		__atomic_fetch_add(line, 1, __ATOMIC_SEQ_CST);
}

void walk(int64_t *line, int64_t n, int64_t limit, int64_t levels)
{
	volatile int64_t over = 0;

	for (int64_t i = 0; i < n; i++)
		for (int64_t level = 0; level < levels; level++)
			if (__atomic_fetch_add(line + 16 * level, 1, __ATOMIC_SEQ_CST) >= limit)
				over++;
}

void cas_add(int64_t *line, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t old = __atomic_load_n(line, __ATOMIC_ACQUIRE);

		while (!__atomic_compare_exchange_n(line, &old, old + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
	}
}
