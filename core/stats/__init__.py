"""What a few judged and labelled answers say of all of them: sampling, estimates, agreement, drift.

Pure functions on numpy arrays. Scores and labels are between 0 and 1; chance comes as an argument.
"""
