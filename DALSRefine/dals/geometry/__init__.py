"""Meshes and label maps: shapes without torch."""
