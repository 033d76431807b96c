"""The output of the commands for people: the figures of a model as a table."""

from app.bulk.rows import printable
from app.bundle import Metrics, MultiLabelMetrics
from app.runtime.evaluation.interval import interval_text, with_interval
from app.runtime.evaluation.measure import Evaluation, MultiLabelEvaluation

_SHOWN_CLASSES = 10
"""Number of classes in the table of figures: those with the lowest recall."""


def figures_text(figures: Metrics | MultiLabelMetrics) -> str:
    """Return the figures of bundle.json in a few words."""
    if isinstance(figures, MultiLabelMetrics):
        return (
            f"mAP {figures.mean_average_precision:.3f}, F1 {figures.f1_micro:.3f} (micro) and "
            f"{figures.f1_macro:.3f} (macro), exactly right "
            f"{with_interval(figures.exact, figures.images)}, ECE {figures.ece:.3f} on "
            f"{figures.images}"
        )
    return (
        f"top-1 {with_interval(figures.top1, figures.images)}, ECE {figures.ece:.3f} on "
        f"{figures.images}"
    )


def evaluation_table(figures: Evaluation | MultiLabelEvaluation) -> str:
    """Return the figures as text: first for all photos, then the weakest labels."""
    if isinstance(figures, MultiLabelEvaluation):
        lines = _multi_label_lines(figures)
    else:
        lines = _single_label_lines(figures)
    if figures.learnt:
        lines += [
            "",
            f"The model learnt from {figures.learnt} of these {figures.images} photos, so it is "
            "less often right on others.",
        ]
    if figures.failed:
        lines += ["", f"{len(figures.failed)} photos have no result:"]
        lines += [printable(f"{failure['path']}  {failure['error']}") for failure in figures.failed]
    return "\n".join(lines)


def _multi_label_lines(figures: MultiLabelEvaluation) -> list[str]:
    lines = [
        f"{figures.model} version {figures.version}, {figures.precision}, {figures.images} photos",
        f"mean average precision  {figures.mean_average_precision:.3f}",
        f"F1 micro, macro         {figures.f1_micro:.3f}, {figures.f1_macro:.3f}",
        f"exactly right           {with_interval(figures.exact, figures.images)}",
        f"ECE, mean of labels     {figures.ece:.3f}",
        "",
        "average precision     F1  precision  recall    ECE  photos  label",
    ]
    weakest = sorted(figures.per_label, key=lambda label: label["average_precision"] or 0)
    return lines + [
        f"{_cell(c['average_precision']):>17}  {_cell(c['f1']):>5}  {_cell(c['precision']):>9}  "
        f"{_cell(c['recall']):>6}  {c['ece']:5.3f}  {c['images']:6}  {c['label']}"
        for c in weakest[:_SHOWN_CLASSES]
    ]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _single_label_lines(figures: Evaluation) -> list[str]:
    lines = [
        f"{figures.model} version {figures.version}, {figures.precision}, {figures.images} photos",
        f"top-1  {with_interval(figures.top1, figures.images)}",
        f"top-5  {with_interval(figures.top5, figures.images)}",
        f"ECE    {figures.ece:.3f}",
    ]
    if figures.coverage is not None:
        lines.append(_accepted_line(figures))
    worst = sorted(figures.per_class, key=lambda label: label["recall"])[:_SHOWN_CLASSES]
    lines += ["", "lowest recall  photos  interval             label"]
    return lines + [
        f"{c['recall']:13.1%}  {c['images']:6}  {interval_text(c['recall'], c['images']):19}  "
        f"{c['label']}"
        for c in worst
    ]


def _accepted_line(figures: Evaluation) -> str:
    """Return a line about the accepted predictions, beside the promise where there is one."""
    assert figures.coverage is not None
    accepted = round(figures.coverage * figures.images)
    line = f"accepted  {accepted} of {figures.images} predictions"
    if figures.accepted_precision is not None:
        line += f", of which right: {with_interval(figures.accepted_precision, accepted)}"
    if figures.promised_precision is not None:
        line += f"; promised: {100 * figures.promised_precision:g} %"
    return line
