"""What is said of a result: metrics, confidence, report."""
