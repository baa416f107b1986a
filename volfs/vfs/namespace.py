"""Names: looking them up, making, removing and renaming them. Each call happens whole or raises.

The kernel has checked permissions (``default_permissions``) and holds the directories' locks. The
checks here keep the overlay right without it.
"""

from __future__ import annotations

from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NameTooLongError,
    NoEntryError,
    NotADirectoryInVolumeError,
    NotPermittedError,
    TooManyLinksError,
)
from volfs.model.acl import inherit
from volfs.model.entry import SYMLINK_MAX, Entry, FileKind, replace
from volfs.model.names import NAME_MAX, is_entry_name
from volfs.model.tree import iter_entries
from volfs.vfs.inode import NOT_LOADED, ROOT_INO, Directory, File, Inode
from volfs.vfs.state import MountState

LINK_MAX = 65_000


class Namespace:
    """Operations on the names of one mount. Any of them may raise ``Miss`` before it changes
    anything."""

    def __init__(self, state: MountState) -> None:
        self.state = state
        self.overlay = state.overlay

    # --- reading ---------------------------------------------------------

    def lookup(self, ino: int, name: bytes) -> Inode | None:
        """The inode of a name, or None. NameTooLongError; NotADirectoryInVolumeError."""
        # The name "." of a file, too, is looked up by the kernel to open a file handle.
        if name == b".":
            return self.state.find_again(ino)
        directory = self.directory(ino)
        if name == b"..":
            return directory.parent or directory
        if len(name) > NAME_MAX:
            raise NameTooLongError("names have at most 255 bytes")
        return self.state.child(directory, name)

    def list_names(self, ino: int) -> list[bytes]:
        """The names in a directory, sorted."""
        directory = self.directory(ino)
        get = self.state.view.reader.get_tree
        names = {entry.name for entry in iter_entries(get, directory.entry.tree)}
        for name in directory.changed:
            (names.discard if directory.children[name] is None else names.add)(name)
        return sorted(names)

    def directory(self, ino: int) -> Directory:
        inode = self.state.get(ino)
        if not isinstance(inode, Directory):
            raise NotADirectoryInVolumeError(f"inode {ino} is not a directory")
        return inode

    # --- making ----------------------------------------------------------

    def make(
        self,
        ino: int,
        name: bytes,
        kind: FileKind,
        mode: int,
        owner: tuple[int, int],
        *,
        umask: int = 0,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Inode:
        """Make an empty file of any kind, or a symlink to ``target``.

        A default ACL of the directory takes the place of ``umask``.
        """
        parent = self._writable(ino, name)
        if self.state.child(parent, name) is not None:
            raise EntryExistsError("exists")
        if len(target) > SYMLINK_MAX:
            raise NameTooLongError(f"symlink target of {len(target)} bytes")
        self.state.check_room(parent, inodes=1)
        mode, xattrs = inherit(parent.entry.xattrs, kind, mode, umask)
        uid, gid = owner
        if parent.entry.mode & 0o2000:  # New names get the directory's group.
            gid = parent.entry.gid
            mode |= 0o2000 if kind == FileKind.DIRECTORY else 0
        made = Entry(
            name,
            kind,
            mode & 0o7777,
            uid,
            gid,
            size=len(target),
            inline=target,
            rdev=rdev,
            xattrs=xattrs,
        )
        return self._add(parent, made)

    def _add(self, parent: Directory, made: Entry) -> Inode:
        """Add a new inode under a name that the directory does not have yet."""
        now = self.state.clock()
        entry = replace(made, mtime_ns=now, ctime_ns=now)
        inode = self.state.inodes.add(entry, parent, entry.name)
        self.overlay.touch(inode, entry)
        self._bind(parent, entry.name, inode)
        self.state.usage.inodes += 1
        self.state.usage.data += entry.data if isinstance(inode, File) else 0
        return inode

    def link(self, ino: int, parent_ino: int, name: bytes) -> Inode:
        """Give a file one more name."""
        parent = self._writable(parent_ino, name)
        file = self.state.get(ino)
        if not isinstance(file, File):
            raise NotPermittedError("a directory has one name")
        if file.parent is None:
            raise NoEntryError("the file has been removed")
        if file.entry.links >= LINK_MAX:
            raise TooManyLinksError(f"a file has at most {LINK_MAX} names")
        if self.state.child(parent, name) is not None:
            raise EntryExistsError("exists")
        self.state.check_room(parent, inodes=0)
        if not file.entry.group:
            self._make_group(file)
        self._touch(file, links=file.entry.links + 1)
        file.aliases.add((parent, name))
        self._bind(parent, name, file)
        return file

    def _make_group(self, file: File) -> None:
        """Make a file a link group: its record is then the group's, and its name only has the
        number."""
        group = self.state.random()
        assert file.parent is not None
        file.entry = replace(file.entry, group=group)
        file.base = replace(file.base, group=group)
        self.state.inodes.by_group[group] = file
        file.aliases.add((file.parent, file.name))
        self.overlay.bind(file.parent, file.name, file)

    # --- removing --------------------------------------------------------

    def unlink(self, ino: int, name: bytes) -> None:
        parent, inode = self._existing(ino, name)
        if isinstance(inode, Directory):
            raise IsADirectoryInVolumeError("is a directory")
        whiteout = self._needs_whiteout(parent, name)
        self._remove(parent, name, inode, whiteout)

    def rmdir(self, ino: int, name: bytes) -> None:
        parent, inode = self._existing(ino, name)
        if not isinstance(inode, Directory):
            raise NotADirectoryInVolumeError("is not a directory")
        if self.state.count(inode):
            raise DirectoryNotEmptyError("directory not empty")
        whiteout = self._needs_whiteout(parent, name)
        self._remove(parent, name, inode, whiteout)

    # --- renaming --------------------------------------------------------

    def rename(
        self,
        ino: int,
        name: bytes,
        new_ino: int,
        new_name: bytes,
        *,
        replace_target: bool = True,
        left_by: tuple[int, int] | None = None,
    ) -> None:
        """Move a name, over an existing file of the new name unless ``replace_target`` is False.

        With ``left_by``, an owner and a group, the old name becomes a character device 0:0 of
        theirs, which overlayfs takes for a removed name (RENAME_WHITEOUT).
        """
        parent, inode = self._existing(ino, name)
        new_parent = self._writable(new_ino, new_name)
        target = self.state.child(new_parent, new_name)
        if target is not None and not replace_target:
            raise EntryExistsError("exists")
        if target is inode:
            return
        self._check_move(inode, new_parent)
        if target is not None:
            self._check_replace(inode, target)
        elif new_parent is not parent or left_by:
            self.state.check_room(new_parent, inodes=bool(left_by))
        whiteouts = self._needs_whiteout(parent, name), self._needs_whiteout(new_parent, new_name)
        self.state.count(parent)
        self.state.count(new_parent)
        if target is not None:
            self._remove(new_parent, new_name, target, whiteouts[1])
        self._unbind(parent, name, inode, whiteouts[0])
        self._bind(new_parent, new_name, inode)
        self._place(inode, parent, name, new_parent, new_name)
        if left_by:
            self._add(parent, Entry(name, FileKind.CHARACTER, 0, *left_by))

    def exchange(self, ino: int, name: bytes, other_ino: int, other_name: bytes) -> None:
        """Exchange the inodes of two names."""
        parent, inode = self._existing(ino, name)
        other_parent, other = self._existing(other_ino, other_name)
        if inode is other:
            return
        self._check_move(inode, other_parent)
        self._check_move(other, parent)
        for at, what, gone in ((parent, other, inode), (other_parent, inode, other)):
            step = isinstance(what, Directory) - isinstance(gone, Directory)
            self.state.touch_names(at, subdirectories=step)
        self.overlay.bind(parent, name, other)
        self.overlay.bind(other_parent, other_name, inode)
        self._place(inode, parent, name, other_parent, other_name)
        self._place(other, other_parent, other_name, parent, name)

    def _check_move(self, inode: Inode, new_parent: Directory) -> None:
        here: Directory | None = new_parent
        while here is not None:
            if here is inode:
                raise InvalidOperationError("a directory cannot be moved into itself")
            here = here.parent

    def _check_replace(self, inode: Inode, target: Inode) -> None:
        if isinstance(target, Directory):
            if not isinstance(inode, Directory):
                raise IsADirectoryInVolumeError("is a directory")
            if self.state.count(target):
                raise DirectoryNotEmptyError("directory not empty")
        elif isinstance(inode, Directory):
            raise NotADirectoryInVolumeError("is not a directory")

    def _place(
        self, inode: Inode, parent: Directory, name: bytes, new_parent: Directory, new_name: bytes
    ) -> None:
        """Update an inode after it was bound elsewhere, and its record."""
        inode.parent, inode.name = new_parent, new_name
        if isinstance(inode, File) and inode.aliases:
            inode.aliases.discard((parent, name))
            inode.aliases.add((new_parent, new_name))
        self._touch(inode)

    # --- putting back ----------------------------------------------------

    def put_back(self, file: File) -> None:
        """Bind a file at its path again, after others replaced it while it was open and written
        here.

        Nothing happens if there is no file at the path any more. Miss.
        """
        there = self._find_successor(file)
        if there is None:
            return
        for parent, name in self.state.names(there):
            parent.children[name] = file
            if name in parent.changed:
                self.overlay.bind(parent, name, file)
        entry = replace(file.entry, links=there.entry.links, group=there.entry.group)
        file.base = replace(file.base, group=there.entry.group)
        file.parent, file.name, file.aliases = there.parent, there.name, there.aliases
        file.left, file.stale = None, False
        self.overlay.orphans.pop(file.ino, None)
        self.overlay.late[file.ino] = file
        self.overlay.touch(file, entry)
        for parent, name in self.state.names(file):
            self.state.inodes.keep_number(file, parent, name)
        self.state.usage.data += self.state.get_counted(file) - self.state.get_counted(there)
        self.state.uncounted.discard(there)
        self.state.uncounted.add(file)
        self._give_way(there, file)

    def _find_successor(self, file: File) -> File | None:
        if file.left is None or file.extents is None:
            return None
        directory, name = file.left
        if directory.stale or (directory.parent is None and directory.ino != ROOT_INO):
            return None
        there = self.state.child(directory, name)
        return there if isinstance(there, File) and there.entry.kind == FileKind.FILE else None

    def _give_way(self, there: File, file: File) -> None:
        """Detach an inode whose place another one takes. Open handles of it stay valid."""
        assert there.parent is not None
        there.left = (there.parent, there.name)
        there.parent, there.stale, there.aliases = None, True, set()
        there.entry = replace(there.entry, links=0)
        self.overlay.forget(there)
        if file.entry.group:
            self.state.inodes.by_group[file.entry.group] = file
        self.state.drop_if_idle(there)

    # --- steps -----------------------------------------------------------

    def _writable(self, ino: int, name: bytes) -> Directory:
        """The directory of a number, after a check that it may take a name."""
        self.state.check_writable()
        directory = self.directory(ino)
        if len(name) > NAME_MAX:
            raise NameTooLongError("names have at most 255 bytes")
        if not is_entry_name(name):
            raise InvalidOperationError(f"{name!r} cannot be a name")
        if directory.parent is None and directory.ino != ROOT_INO:
            raise NoEntryError("the directory has been removed")
        return directory

    def _existing(self, ino: int, name: bytes) -> tuple[Directory, Inode]:
        parent = self._writable(ino, name)
        inode = self.state.child(parent, name)
        if inode is None:
            raise NoEntryError("no such file or directory")
        self.state.count(parent)
        return parent, inode

    def _needs_whiteout(self, directory: Directory, name: bytes) -> bool:
        """Whether the view has the name, or may have it once a commit under way is done."""
        return (
            self.overlay.sealed is not None or self.state.find_in_view(directory, name) is not None
        )

    def _bind(self, parent: Directory, name: bytes, inode: Inode) -> None:
        self.overlay.bind(parent, name, inode)
        self.state.touch_names(parent, subdirectories=isinstance(inode, Directory))
        if parent.count is not None:
            parent.count += 1

    def _unbind(self, parent: Directory, name: bytes, inode: Inode, whiteout: bool) -> None:
        if whiteout:
            self.overlay.bind(parent, name, None)
        else:
            self.overlay.unbind(parent, name)
        self.state.touch_names(parent, subdirectories=-isinstance(inode, Directory))
        if parent.count is not None:
            parent.count -= 1

    def _remove(self, parent: Directory, name: bytes, inode: Inode, whiteout: bool) -> None:
        self._unbind(parent, name, inode, whiteout)
        if isinstance(inode, File) and inode.entry.links > 1:
            self._drop_alias(inode, parent, name)
            return
        inode.parent = None
        inode.entry = replace(inode.entry, links=0, ctime_ns=self.state.clock())
        self.overlay.forget(inode)
        self.state.usage.inodes -= 1
        if isinstance(inode, File):
            self.state.usage.data -= self.state.get_counted(inode)
            self.state.uncounted.discard(inode)
            inode.aliases.clear()
            self.state.inodes.by_group.pop(inode.entry.group, None)
        self.state.drop_if_idle(inode)

    def _drop_alias(self, file: File, parent: Directory, name: bytes) -> None:
        file.aliases.discard((parent, name))
        self._touch(file, links=file.entry.links - 1)
        if (file.parent, file.name) == (parent, name):
            # The other names may not be loaded. The group's record stands for them.
            file.parent, file.name = next(iter(file.aliases), (self.state.root, NOT_LOADED))

    def _touch(self, inode: Inode, *, links: int | None = None) -> None:
        count = inode.entry.links if links is None else links
        self.overlay.touch(inode, replace(inode.entry, ctime_ns=self.state.clock(), links=count))
