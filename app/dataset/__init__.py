"""A folder of labelled photos on disk, as training and evaluation read it alike.

files        every file below a folder; cycles of links end
split_names  which folders are the parts of a split
label_table  labels from labels.csv, other tables, or the names of the files
label_rows   the rows of such a table
"""
