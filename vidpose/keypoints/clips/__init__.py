"""Networks that see a person in clips, from up to four cameras."""
