"""The page of `footfall setup` and `footfall audit`: a server for one technician, and what it serves."""
