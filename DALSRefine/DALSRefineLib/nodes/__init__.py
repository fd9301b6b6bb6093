"""MRML nodes in and out."""
