"""Reading and writing meshes, points, Slicer markups and label maps, in RAS millimetres."""
