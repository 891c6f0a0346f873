"""Finds the packages: those under edgebert/, and two folders beside it.

The folder exporters/ is installed as edgebert.exporters, and js/src/, which holds no Python, as edgebert.javascript.
"""

from setuptools import find_packages, setup

device_and_training = find_packages(include=["edgebert", "edgebert.*"])
exporting = [f"edgebert.{name}" for name in find_packages(include=["exporters", "exporters.*"])]

setup(packages=[*device_and_training, *exporting, "edgebert.javascript"])
