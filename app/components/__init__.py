"""Drawn things: data in, events out; never the database."""
