"""Read TIFF: the first directory, the layout of its pixels, and the pixels by libtiff."""
