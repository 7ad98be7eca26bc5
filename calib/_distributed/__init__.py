"""What `calib.distributed` is made of: sums over the partitions of a Dask collection."""
