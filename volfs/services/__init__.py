"""What Dict, Queue and Secret do, over a table store; keys and values are opaque bytes here."""
