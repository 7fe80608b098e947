"""Hydra multirun: `python of_hydra.py -m seed=range(0,100)`, with the launcher that the command line names."""

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from point import cost

ConfigStore.instance().store(name="config", node={"seed": 0})


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(config: DictConfig) -> float:
    """Return the cost of a seed."""
    return cost(config.seed)


if __name__ == "__main__":
    app()
