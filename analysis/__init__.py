"""What a sweep found: the frames of its record, a verdict and a report."""

from analysis.load import Sweep

__all__ = ["Sweep"]
