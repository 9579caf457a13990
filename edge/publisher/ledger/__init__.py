"""The only state on disk: readings of the odometers, and the hours made from them."""
