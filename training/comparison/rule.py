"""The rule by which a new version counts as better, not worse or worse."""

MARGIN = 0.05
"""The loss of accuracy that counts as not worse."""

RULE = (
    "A new version is not worse if, with 95 % confidence, it is right about at most 5 of 100 "
    "photos fewer (Tango's score interval for paired shares), loses no label (McNemar's exact "
    "test with Holm's correction), and its probabilities aren't worse (Brier score, paired "
    "bootstrap); it is better if McNemar's mid-p test says so as well."
)
