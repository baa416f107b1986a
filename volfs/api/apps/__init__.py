"""App, Function, Cls and Image: the things that run in containers. Nothing outside this folder
needs it."""
