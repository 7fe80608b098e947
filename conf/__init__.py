"""Configuration, as package data: the sweep finds it here wherever the package is installed."""
