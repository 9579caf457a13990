"""The process that sees: camera -> detector -> tracker -> line -> Tally. Everything in here dies in RAM."""

import os

# Read when numpy and OpenCV are loaded. Threads that nothing here needs, and that not every kernel can seal.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FFMPEG_THREADS", "1")
