"""Replace the section of a model card about the thresholds."""

import re
import textwrap

from app.bundle import Manifest
from training.packaging.model_card import SCORES, THRESHOLDS, WIDTH, accepted

_NONE_YET = re.compile(r",\s+and\s+has\s+no\s+threshold\s+for\s+`unknown`")
"""Words of the cards of imported models before 2026-11-29."""


def with_thresholds(card: str, manifest: Manifest, data: str, has_new_rule: bool) -> str:
    """Return `card` with a section about the thresholds of `manifest`.

    Args:
        card: the card in Markdown.
        manifest: with its new thresholds.
        data: the name of the photos that chose them.
        has_new_rule: whether `unknown` comes from these photos, too.
    """
    text = accepted(manifest)
    rule = manifest.unknown
    if rule is not None and has_new_rule:
        unknown = (
            f"A photo whose {SCORES[rule.score]} is under {rule.threshold:.3f} gets the decision "
            f"`unknown`; {100 * rule.accepts:.1f} % of the photos of {data} reach the threshold, "
            "which `hubel calibrate` took from them."
        )
        text = f"{textwrap.fill(unknown, WIDTH)}\n\n{text}"
    section = f"{THRESHOLDS}\n\n{text}\n\n"
    card = _NONE_YET.sub("", card)
    start = card.find(f"{THRESHOLDS}\n")
    if start >= 0:
        following = card.find("\n## ", start + 1)
        end = len(card) if following < 0 else following + 1
        return card[:start] + section + card[end:]
    place = card.find("## Limits\n")
    if place < 0:
        return f"{card.rstrip()}\n\n{section.rstrip()}\n"
    return card[:place] + section + card[place:]
