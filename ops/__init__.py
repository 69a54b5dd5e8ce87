"""The command line that renders, builds, proves and deploys an embedding Space."""

__version__ = "0.1.0"
