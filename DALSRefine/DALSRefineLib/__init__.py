"""The Slicer side of DALSRefine: nodes in and out, the worker process, the panel. The method is in `dals`."""
