"""The directory of a store: its layout and lock, and the proof that it is still the one that
was opened."""
