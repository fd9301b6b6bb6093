"""A made-up liver, and pictures of it."""
