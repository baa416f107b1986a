"""A file system that nobody has mounted yet: inodes, overlay, view, reload.

Everything that changes state is plain, synchronous code: an operation either
happens or raises. Where it needs an object that is not at hand it raises
``Miss`` before it changed anything, and ``aio.Bridge.settle`` fetches the
object in a thread and runs it again.
"""
