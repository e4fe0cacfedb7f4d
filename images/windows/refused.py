class Refused(Exception):
    """Something the user gave cannot be used, or a stage failed: its text is for them."""
