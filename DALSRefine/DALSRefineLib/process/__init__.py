"""Fits in a process of their own."""
