"""What the user gave: contours, points or a segmentation, in RAS millimetres."""
