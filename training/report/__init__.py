"""What is known of a model -> report/index.html: one file that opens without a network.

content    what a report tells, as data; it knows no recipe
tables     figures by class, who is taken for whom
plots      matplotlib, imported by private_matplotlib -> SVG in the page's own colours
pictures   which photos to show, and small copies of them
page       all of it -> HTML, by page.html and page.css
"""

from training.report.content import Content, Curve, Line
from training.report.page import INDEX, write

__all__ = ["INDEX", "Content", "Curve", "Line", "write"]
