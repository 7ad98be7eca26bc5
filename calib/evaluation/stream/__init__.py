"""Reports from sums over batches."""
