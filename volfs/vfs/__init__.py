"""A file system that nobody has mounted yet: inodes, overlay, view, reload.

Everything that changes state is plain, synchronous code: an operation happens whole, or raises. If
it needs an object that is not at hand, it raises ``Miss`` before it has changed anything.
``aio.Bridge.settle`` then fetches the object in a thread and runs the operation again.
"""
