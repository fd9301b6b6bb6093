"""The systems that the project's method is compared with, with one interface."""
