"""What the patient's image adds to contours, beside what others make of the same planes."""
