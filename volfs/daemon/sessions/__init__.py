"""Sessions that this process opens, inspects, discards or mends."""
