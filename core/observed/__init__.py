"""From what was seen of a host to what its cgroups do: the lifecycle in closed form, and the fit."""
