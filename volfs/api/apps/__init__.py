"""App, Function, Cls and Image: what runs in containers. Nothing beside this folder needs it."""
