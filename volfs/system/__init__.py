"""What the kernel offers and Python does not. Knows no other room but errors."""
