"""Ray Tune's grid search: `python of_tune.py POINTS CORES REUSE_ACTORS FOLDER` prints the seconds it took."""

import os
import sys
import time

os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_USAGE_STATS_ENABLED": "0"}  # fewest files

import ray
from point import cost
from ray import tune


def trainable(config):
    """Report the cost of a seed."""
    tune.report({"cost": cost(config["seed"])})


def search(points, reuse_actors, folder):
    """Return the seconds that a grid of seeds takes, until all results are at hand."""
    began = time.perf_counter()
    found = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"seed": tune.grid_search(list(range(points)))},
        tune_config=tune.TuneConfig(reuse_actors=reuse_actors),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    ).fit()
    assert sorted(result.metrics["config"]["seed"] for result in found) == list(range(points))
    return time.perf_counter() - began


if __name__ == "__main__":
    points, cores, reuse_actors, folder = sys.argv[1:]
    ray.init("local", num_cpus=int(cores), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    search(1, reuse_actors == "True", folder)
    print(search(int(points), reuse_actors == "True", folder))
