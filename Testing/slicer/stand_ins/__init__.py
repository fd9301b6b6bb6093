"""Stand-ins for what the full Slicer application adds to slicer-core: Qt widgets, `slicer.util`, parameter nodes.

They imitate what DALSRefine's panel uses, as Slicer's source describes it, and nothing else. They are not Slicer.
"""
