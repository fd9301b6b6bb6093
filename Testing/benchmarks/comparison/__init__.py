"""What `tables.py` is made of."""
