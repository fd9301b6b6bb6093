"""The look of one patient's organ, learnt from the drawn planes: where the image places the surface between them."""
