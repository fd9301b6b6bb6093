"""From label maps and meshes to training shapes."""
