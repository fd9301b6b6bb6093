"""Segmentation networks trained on sparsely annotated MR images of the hippocampus (the paper's section 4.3)."""
