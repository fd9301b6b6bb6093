"""Meshes, label maps and curves, without torch."""
