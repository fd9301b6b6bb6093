"""Training shapes from label maps and meshes."""
