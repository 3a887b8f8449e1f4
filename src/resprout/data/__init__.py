"""Interactions: read, filtered, split, and served in batches."""

from resprout.data.filters import FilterSettings, apply
from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.data.interactions import Dataset, Interactions
from resprout.data.known import KNOWN, ensure_files, load
from resprout.data.readers import read
from resprout.data.settings import DataSettings
from resprout.data.split import Split, SplitSettings, split

__all__ = [
    "Dataset",
    "Interactions",
    "IdMap",
    "Histories",
    "DataSettings",
    "KNOWN",
    "ensure_files",
    "load",
    "read",
    "FilterSettings",
    "apply",
    "SplitSettings",
    "Split",
    "split",
]
