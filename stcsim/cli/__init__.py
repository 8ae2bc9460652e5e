"""The command line."""

from stcsim.cli.entry import main

__all__ = ["main"]
