"""`footfall check`: everything that has to be right at the door."""
