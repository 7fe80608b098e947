"""No engine at all: `python of_bound.py POINTS` prints the seconds that the function itself takes, on one core."""

import sys
import time

from point import cost

if __name__ == "__main__":
    cost(0)
    began = time.perf_counter()
    for seed in range(int(sys.argv[1])):
        cost(seed)
    print(time.perf_counter() - began)
