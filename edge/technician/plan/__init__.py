"""`footfall plan`: what a camera covers at a door, computed from its height and lens before anybody drills a hole."""
