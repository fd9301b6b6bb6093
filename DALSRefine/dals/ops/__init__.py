"""Differentiable operations in torch: losses, surface samples, plane cuts, distance fields."""
