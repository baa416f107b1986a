"""Functions of the kernel that Python lacks. This room knows no other room except errors."""
