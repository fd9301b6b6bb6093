"""Differentiable building blocks on torch: losses, samples, plane cuts, distance fields."""
