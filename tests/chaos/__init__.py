"""Tortures the product and looks whether anything is lost: `PYTHONPATH=tests python -m chaos`."""
