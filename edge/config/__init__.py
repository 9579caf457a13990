"""footfall.yaml: its schema, and what a technician is told about a file that can't be used."""
