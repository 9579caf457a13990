"""
A network without a wire and a root of its own, read-only and with little in it: where the kernel gives them.

On a box the unit does this, and forbids doing it again. In a trial, a user who may make a user namespace gets the same;
on a kernel without Landlock, such as Raspberry Pi OS's, it is what lets a process with a camera be sealed at all, since
a camera must be opened for writing. Nothing rests on it alone: `edge.sandbox.self_test` finds what can still be written
to, and `edge.vision.seal` looks at what is mounted.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edge.sandbox import mounts, seccomp

_NEWNS, _NEWIPC, _NEWUSER, _NEWNET = 0x20000, 0x08000000, 0x10000000, 0x40000000
_MOUNT_SETATTR = 442
"""The same number on every architecture."""
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_RDONLY, _NOSUID = 0x1, 0x2
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_MNT_DETACH = 2
_MOST_LINKS = 40
"""Symbolic links that are followed in one path, as in the kernel."""

SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys")))
"""What a program needs of any system: its programs and libraries, its settings, and the kernel's own files."""
_EMPTY = tuple(map(Path, ("/dev/shm", "/dev/mqueue", "/dev/pts", "/dev/hugepages", "/proc/sys/fs/binfmt_misc")))  # noqa: S108 - they are closed
"""What has nothing in it in a root of our own: memory, queues and terminals that another process could open."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def leave(*, network: bool = False) -> bool:
    """
    Move this process, which has one thread, into namespaces of its own; return False where that may not be.

    Args:
        network: Whether the network stays the machine's.
    """
    user, group = os.geteuid(), os.getegid()
    kinds = _NEWNS | _NEWIPC | (0 if network else _NEWNET) | (_NEWUSER if user else 0)
    if _libc.unshare(kinds):
        return False
    if user:
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny", encoding="ascii")
        (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def make_read_only() -> bool:
    """
    Make every file system that is mounted read-only here, and let none be mounted from outside; devices stay writable.

    Returns:
        False on a kernel before 5.12.
    """
    return _set_attributes(Path("/"), _Attributes(_RDONLY | _NOSUID, 0, _MS_PRIVATE, 0), _AT_RECURSIVE)


def _set_attributes(path: Path, attributes: _Attributes, flags: int) -> bool:
    arguments = (
        *(ctypes.c_long(number) for number in (_MOUNT_SETATTR, _AT_FDCWD)),
        *(os.fsencode(path), ctypes.c_long(flags), ctypes.byref(attributes)),
        ctypes.c_long(ctypes.sizeof(attributes)),
    )
    return int(_libc.syscall(*arguments)) == 0


def is_own_root() -> bool:
    """Tell whether / is an empty file system in memory into which somebody, such as our unit, has put a few folders."""
    (root,) = [mount for mount in mounts.mounted() if mount.point == Path("/")][-1:]
    return root.kind == "tmpfs" and not root.writable


def enter_root(needed: Collection[Path], writable: Collection[Path] = ()) -> None:
    """
    Live in an empty root from here on, in which there is nothing but *needed*, at the same paths.

    `leave` and `make_read_only` come first; everything in the new root is read-only, too, but *writable*. What lies on
    a network or FUSE file system beneath one of them is covered, and has nothing in it.

    Args:
        needed: Files, folders and devices; what isn't there is left out. Symbolic links on the way stay links.
        writable: Folders that may be written to.

    Raises:
        OSError: the kernel refuses a step. Some of them may have been done.
    """
    links: dict[Path, str] = {}
    own = {_trace(path.absolute(), links) for path in writable}
    wanted = {_trace(path.absolute(), links) for path in needed} | own
    wanted = {target for target in wanted if target != Path("/") and os.access(target, os.F_OK)}
    # What lies in another folder that is wanted comes with it, but a writable one, which needs a mount of its own.
    targets = sorted(p for p in wanted if p in own or wanted.isdisjoint(p.parents))
    # A place to mount on; it hides what lies there, so preferably none that is wanted itself.
    places = [place for place in map(Path, ("/tmp", "/mnt", "/usr")) if place.is_dir()]  # noqa: S108
    root = next((place for place in places if place not in targets), places[0])
    here = Path.cwd()
    _furnish(root, targets, links)
    os.chdir(root)
    _check(_libc.syscall(ctypes.c_long(seccomp.number("pivot_root")), b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))
    os.chdir(here if os.access(here, os.X_OK) else "/")
    _cover(targets)
    done = make_read_only() and all(_set_attributes(path, _Attributes(0, _RDONLY, 0, 0), 0) for path in own)
    _check(0 if done else -1)


def _furnish(root: Path, targets: Sequence[Path], links: Mapping[Path, str]) -> None:
    """Mount an empty file system at *root*, and into it all of *targets*; make the *links* that lead to them."""
    sources = [os.open(target, os.O_PATH | os.O_CLOEXEC) for target in targets]
    _mount(None, root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    for target, source in zip(targets, sources, strict=True):
        place = root / target.relative_to("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISDIR(os.fstat(source).st_mode):
                place.mkdir()
            else:
                place.touch()
        _mount(Path(f"/proc/self/fd/{source}"), place, None, _MS_BIND | _MS_REC, None)
        os.close(source)
    for link, leads_to in links.items():
        place = root / link.relative_to("/")
        if not {link, *link.parents} & set(targets) and not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(leads_to)


def _cover(targets: Collection[Path]) -> None:
    """Mount something empty over what must have nothing in it. What was asked for by its own name stays, to be seen."""
    found = mounts.visible(mounts.mounted())
    places = {mount.point for mount in found if mount.remote and mount.point not in targets}
    places |= {mount.point for mount in found if mount.point in _EMPTY}
    for place in sorted(places):
        _mount(None, place, "tmpfs", _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "mode=0555,size=4k")


def _trace(path: Path, links: dict[Path, str]) -> Path:
    """Return where *path* really lies, and note the symbolic links on the way in *links*."""
    at = Path("/")
    parts = list(path.parts[1:])
    followed = 0
    while parts:
        part = parts.pop(0)
        following = at.parent if part == ".." else at / part
        if part != ".." and following.is_symlink() and followed < _MOST_LINKS:
            followed += 1
            links[following] = str(following.readlink())
            leads_to = Path(links[following]).parts
            if leads_to[:1] == ("/",):
                at, leads_to = Path("/"), leads_to[1:]
            parts = [*leads_to, *parts]
        else:
            at = following
    return at


def _mount(source: Path | None, place: Path, kind: str | None, flags: int, options: str | None) -> None:
    arguments = [None if word is None else os.fsencode(word) for word in (source or "none", place, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), None if options is None else options.encode()))


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
