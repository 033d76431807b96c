"""Read the formats whose container is HEIF, an ISO base media file of items: AVIF and HEIC."""
