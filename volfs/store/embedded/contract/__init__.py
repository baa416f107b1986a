"""Three parts of the contract, over one open store. The fourth part, ``Objects``, is
``ObjectReader``."""
