"""Read a file of labels, in the formats that they come in, in the order of the model's output.

label_file     bytes -> text -> entries -> labels, with every check
text           bytes -> text: UTF-8, or UTF-16 with its mark
documents      JSON or a Python literal -> entries
yaml_names     the `names` of a YAML file -> entries
tables         CSV or TSV with a header -> entries
lines          a label on each line, with or without its index -> entries
entry          an entry: a name, an index, an id
numbering      entries with indices -> entries in order
"""

from training.importing.labels.label_file import LabelFile, read

__all__ = ["LabelFile", "read"]
