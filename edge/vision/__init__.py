"""The process that sees: camera -> detector -> tracker -> line -> Tally. Everything in here dies in RAM."""
