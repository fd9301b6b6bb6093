"""Measurements on real anatomy; they need the data described in the README and take minutes."""
