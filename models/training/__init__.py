"""Training of the head model: rendered pictures, network, export. Not part of the box's software."""
