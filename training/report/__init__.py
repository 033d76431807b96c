"""Write a report about a model, report/index.html: one file that opens without a network.

content             the content of a report, as data that depends on no recipe
advice              what to do first, with its numbers
interval            the 95 % interval of a share
accepted            the accepted predictions, and the right ones among them
tables              figures by class, and the most frequent confusions
cells               the photos of each cell of the confusion matrix
plots               matplotlib, imported by private_matplotlib -> SVG in the page's own colours
photo_examples      the photos to show, and small copies of them
page                all of it -> HTML, by page.html and page.css
label_content       the same for multi-label models, with label_tables, label_examples, label_page
evaluation_report   the report of `hubel evaluate --report`
"""

from training.report.content import Content, Curve, HeldOutPhotos, Line, SuspectPhoto, Suspects
from training.report.label_content import LabelContent
from training.report.page import INDEX, write

__all__ = [
    "INDEX",
    "Content",
    "Curve",
    "HeldOutPhotos",
    "LabelContent",
    "Line",
    "SuspectPhoto",
    "Suspects",
    "write",
]
