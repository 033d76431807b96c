"""`hubel calibrate`: choose the thresholds of an existing bundle by labelled photos.

calibrate    from top to bottom
unknown      the rule for `unknown`: familiarity as a new output of the graphs, or the probability
card         the section of the model card about the thresholds
"""
