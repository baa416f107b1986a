"""Three parts of the contract, over one open store. The fourth, ``Objects``, is its reader."""
