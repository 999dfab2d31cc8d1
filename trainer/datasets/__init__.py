"""On-disk dataset formats: one file each."""
