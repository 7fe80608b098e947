"""Ray by hand: `python of_ray.py POINTS CORES BATCH` prints the seconds that a task for each BATCH points took."""

import sys
import time

import ray
from point import cost


@ray.remote
def costs(seeds):
    """Return the cost of each seed."""
    return [cost(seed) for seed in seeds]


def gather(points, batch):
    """Return the costs of all seeds, from as many tasks as it takes."""
    tasks = [costs.remote(range(at, min(at + batch, points))) for at in range(0, points, batch)]
    return [each for part in ray.get(tasks) for each in part]


if __name__ == "__main__":
    points, cores, batch = map(int, sys.argv[1:])
    ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    gather(8 * cores, 1)  # every worker is up after this
    began = time.perf_counter()
    found = gather(points, batch)
    print(time.perf_counter() - began)
    assert len(found) == points
