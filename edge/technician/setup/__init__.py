"""The technician's page: what the camera sees as a silhouette, and the line across it."""
