"""Files in and out: meshes, points, Slicer markups and label maps, all as RAS millimetres inside."""
