"""The counting model: from the heads of each frame to crossings of the lines."""
