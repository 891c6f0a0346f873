"""Finds the packages: those under edgebert/, and the folder exporters/, which is installed as edgebert.exporters."""

from setuptools import find_packages, setup

device_and_training = find_packages(include=["edgebert", "edgebert.*"])
exporting = [f"edgebert.{name}" for name in find_packages(include=["exporters", "exporters.*"])]

setup(packages=device_and_training + exporting)
