"""The rules of Dict, Queue and Secret over a store's tables. Keys and values are opaque bytes
here."""
