"""A W&B server on loopback: what the client sends is kept in memory, to be looked at and spoilt."""

from fakewandb.server import FakeWandb

__all__ = ["FakeWandb"]
