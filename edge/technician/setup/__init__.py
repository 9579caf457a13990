"""`footfall setup`: the technician draws a camera's lines on a page, over a silhouette."""
