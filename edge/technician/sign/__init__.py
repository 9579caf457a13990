"""`footfall sign`: the sign beside the door, from one template in several languages, as a page to print."""
