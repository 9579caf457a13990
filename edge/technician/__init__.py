"""For the technician at the door: trial, count, demo."""
