"""A synthetic liver, and rendering."""
