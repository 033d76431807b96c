"""A folder of labelled photos: its layout, its photos, and how they are split."""
