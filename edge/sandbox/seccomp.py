"""
Filters in front of the kernel, for every thread, for good: two for the process that sees, one for the publisher, and
one for the helper that tells systemd.

The first of the process that sees says what it may ask of the kernel at all: memory, threads, time, reading files,
talking to a V4L2 camera, writing to what it already holds. Whatever isn't listed, calls of kernels yet to come
included, answers ENOSYS, as an older kernel would, and libraries fall back to what is listed (glibc's clone3 to clone,
whose flags a filter can read). The second names what must never be, by reason, and answers EPERM.

Refused calls answer with an errno and don't kill: OpenCV, LiteRT and glibc try things that they can do without, and a
process that dies of a library's curiosity counts nobody.

The lists are read by name on each architecture; a name that it hasn't got is left out. `NEEDED` and the unit's
SystemCallFilter= were both drawn from systemd's @system-service, on which nearly every daemon of a Pi runs.
This module decides nothing else: see `edge.vision.seal`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from typing import Any

from edge.core.errors import SealError

NEEDED = {
    "memory": """
        brk madvise membarrier mlock mlock2 mlockall mmap mmap2 mprotect mremap msync munlock munlockall munmap
        get_mempolicy cacheflush""",
    "threads": """
        clone exit exit_group futex futex_time64 get_robust_list set_robust_list set_tid_address rseq
        set_tls set_thread_area get_thread_area arch_prctl sched_yield sched_getaffinity sched_getattr sched_getparam
        sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu getpriority wait4 waitid""",
    "signals to itself": """
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
        sigaction sigaltstack sigpending sigprocmask sigreturn sigsuspend restart_syscall pause signalfd
        signalfd4""",
    "time, and whether the clock is right": """
        adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer alarm time times timer_create
        timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
        timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64""",
    "opening and reading files": """
        open openat access faccessat faccessat2 close close_range
        fstat fstat64 fstatat64 newfstatat stat stat64 lstat lstat64 statx statfs statfs64 fstatfs fstatfs64 getcwd
        getdents getdents64 lseek _llseek pread64 preadv read readv readlink readlinkat dup dup2
        dup3""",
    "writing to what it holds: diode, readiness": "write writev pwrite64 pwritev send sendto",
    "waiting": """
        poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl
        epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2""",
    "who and where am I": """
        capget getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid
        getrandom getresgid getresgid32 getresuid getresuid32 getrlimit ugetrlimit prlimit64 getrusage getsid gettid
        getuid getuid32 getpeername getsockname getsockopt uname""",
    "to load the second filter": "seccomp",
}
"""Why a sealed process may call what; each name is looked up on the machine it runs on."""

REFUSED = {
    "sockets of any family": """
        socket socketpair connect bind listen accept accept4 sendmsg sendmmsg recvfrom recv recvmsg recvmmsg
        recvmmsg_time64 setsockopt shutdown""",
    "other programs and processes": "execve execveat fork vfork",
    "files that are made, changed, renamed or removed": """
        creat truncate truncate64 ftruncate ftruncate64 fallocate mknod mknodat mkdir mkdirat rmdir rename renameat
        renameat2 link linkat symlink symlinkat unlink unlinkat chmod fchmod fchmodat fchmodat2 chown chown32 fchown
        fchown32 fchownat lchown lchown32 utime utimes utimensat utimensat_time64 futimesat setxattr lsetxattr fsetxattr
        setxattrat removexattr lremovexattr fremovexattr removexattrat copy_file_range sendfile sendfile64 splice tee
        vmsplice sync_file_range openat2 open_by_handle_at name_to_handle_at swapon swapoff quotactl""",
    "files in memory": "memfd_create memfd_secret",
    "memory and mail shared between processes": """
        shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semctl semtimedop semtimedop_time64
        mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 mq_notify
        mq_getsetattr""",
    "locks that others can see": "flock",
    "other processes' memory, descriptors and lives": """
        ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_open pidfd_getfd
        pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo tkill""",
    "ways round the system call table": "io_uring_setup io_uring_enter io_uring_register io_setup io_submit bpf",
    "looking into the kernel": "perf_event_open userfaultfd syslog lookup_dcookie kexec_load",
    "watching others through files that both may read, and their load": """
        inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark sysinfo""",
    "futexes that another process could wait on": "futex_waitv futex_wait futex_wake futex_requeue",
    "which of a file's pages are in memory": """
        mincore cachestat preadv2 pwritev2 readahead fadvise64 arm_fadvise64_64""",
    "keyrings": "keyctl add_key request_key",
    "mounts and namespaces": """
        mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr unshare
        setns""",
    "rights": """
        setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid
        setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capset setrlimit personality""",
    "the machine itself": """
        reboot kexec_file_load init_module finit_module delete_module iopl ioperm settimeofday clock_settime
        clock_settime64 sethostname setdomainname acct vhangup""",
    "undoing the seal": "seccomp",
}
"""What must never be, by reason. It is tried afterwards: see `edge.vision.seal`."""

_LATER = {"cachestat": 451, "futex_wake": 454, "futex_wait": 455, "futex_requeue": 456}
"""Calls that Debian 12's libseccomp doesn't know by name; their numbers are the same on every architecture."""

PUBLISHER_REFUSED = (
    "other programs and processes",
    "memory and mail shared between processes",
    "other processes' memory, descriptors and lives",
    "ways round the system call table",
    "looking into the kernel",
    "watching others through files that both may read, and their load",
    "futexes that another process could wait on",
    "which of a file's pages are in memory",
    "keyrings",
    "mounts and namespaces",
    "rights",
    "the machine itself",
    "undoing the seal",
)
"""What of `REFUSED` the publisher gives up as well; it goes on making files, sockets and connections."""

HELPERS = {
    "a thread of Python": """
        brk mmap mmap2 munmap mremap madvise futex futex_time64 clock_gettime clock_gettime64 rt_sigreturn sigreturn
        restart_syscall exit exit_group""",
}
"""What the helper that tells systemd needs, beside reading from its pipe, sending, and waiting for its child."""

_INT = 0xFFFFFFFF
_AF_UNIX, _AF_INET, _AF_INET6, _FAMILIES = 1, 2, 10, 64
"""Address families by number; the kernel knows fewer than 64."""

_READ, _WRITE = 0x80000000, 0x40000000
_IOCTL_KIND = _READ | _WRITE | 0xFFFF
"""Which way data goes, the type and the number of an ioctl; not the size, which differs between architectures."""
_V4L2 = ord("V") << 8
_V4L2_IOCTLS = (
    *(_READ | _V4L2 | number for number in (0, 23, 38)),
    *(_WRITE | _V4L2 | number for number in (18, 19, 24)),
    *(_READ | _WRITE | _V4L2 | number
      for number in (2, 4, 5, 8, 9, 15, 17, 21, 22, 25, 26, 27, 36, 37, 39, 58, 64, 71, 74, 75)),
)  # fmt: skip
"""
What OpenCV asks of a camera: QUERYCAP, G_STD, G_INPUT; STREAMON, STREAMOFF, S_STD; ENUM_FMT, G_FMT, S_FMT, REQBUFS,
QUERYBUF, QBUF, DQBUF, G_PARM, S_PARM, ENUMSTD, ENUMINPUT, G_CTRL, QUERYCTRL, QUERYMENU, S_INPUT, CROPCAP, TRY_FMT,
G_EXT_CTRLS, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS. Neither S_CTRL, which could switch a camera's lamp, nor VT_* of a
console, which have the same type.
"""
_HARMLESS_IOCTLS = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451)
"""
TCGETS, TIOCGWINSZ, FIONBIO, FIONCLEX, FIOCLEX; neither TIOCSTI, which types into the terminal's shell, nor FIONREAD,
which tells how much of the diode the publisher has read.
"""

_HARMLESS_PRCTLS = (3, 16, 21, 23, 39, 0x53564D41)
"""PR_GET_DUMPABLE, _GET_NAME, _GET_SECCOMP, _CAPBSET_READ, _GET_NO_NEW_PRIVS, _SET_VMA (malloc naming its pages)."""

_HARMLESS_FCNTLS = (0, 1, 2, 3, 4, 1030, 1032)
"""
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ. Not what others can see or feel: locks,
leases, a pipe's size, hints on a file, and signals that the kernel sends to whom F_SETOWN names.
"""

_READING_AND_WRITING = ((os.O_ACCMODE, os.O_RDWR),)
_WRITING = (
    (os.O_ACCMODE, os.O_WRONLY),
    (os.O_ACCMODE, os.O_ACCMODE),
    *((bit, bit) for bit in (os.O_CREAT, os.O_TRUNC, os.O_TMPFILE & ~os.O_DIRECTORY)),
)
"""Ways to open a file that make it, empty it, or only write; Landlock decides on the rest by path."""

FUTEX_KIND = 0xFF
"""Which operation a futex call is, and bit 7: only within this process."""
FUTEX_WAITS, FUTEX_OTHERS = (0, 9), (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13)
"""
Operations that reach other processes (bit 7 is not set): FUTEX_WAIT and FUTEX_WAIT_BITSET; all others.

glibc waits in this way for a thread's end, and ends the program on an errno that it doesn't expect; EAGAIN makes it
look again, so that is what a wait answers.
"""
_EVICTING = (20, 21)
"""MADV_COLD and MADV_PAGEOUT: another process feels that pages of a file left memory."""

_CLONE_VM, _CLONE_THREAD = 0x100, 0x10000
_CLONE_NEW = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""Namespaces: mount, cgroup, uts, ipc, user, pid, net."""
NOT_A_THREAD = (
    *((_CLONE_VM | _CLONE_THREAD, shared) for shared in (0, _CLONE_VM, _CLONE_THREAD)),
    *((bit, bit) for bit in _CLONE_NEW),
)
"""A thread shares its process's memory and identity; whatever doesn't is another process."""


def close(helpers: Collection[int], *, read_write: bool) -> None:
    """
    Load both filters for all threads of this process.

    Args:
        helpers: Children that were started before; they and this process itself may still be signalled.
        read_write: Whether an existing file or device may be opened for reading and writing, which V4L2 asks for.

    Raises:
        SealError: libseccomp isn't there, or the kernel refuses a filter.
    """
    try:
        for filter_ in filters((os.getpid(), *helpers), read_write=read_write):
            filter_.load()
    except OSError as exc:
        raise SealError(f"seal: the kernel doesn't take the system call filter: {exc.strerror}") from exc


def filters(processes: Collection[int], *, read_write: bool, architecture: int = 0) -> tuple[Any, Any]:
    """
    Return both filters, in the order in which they are loaded: of two refusals the later one gives the errno.

    Args:
        processes: Those that may be signalled, this one first.
        read_write: See `close`.
        architecture: One of pyseccomp's, to look at a filter for another machine; 0 is this one.
    """
    needed = _Filter(architecture, otherwise=errno.ENOSYS)
    needed.allow_all(NEEDED)
    for request in _V4L2_IOCTLS:
        needed.allow("ioctl", 1, _IOCTL_KIND, request)
    for request in _HARMLESS_IOCTLS:
        needed.allow("ioctl", 1, _INT, request)
    for option in _HARMLESS_PRCTLS:
        needed.allow("prctl", 0, _INT, option)
    for command in _HARMLESS_FCNTLS:
        needed.allow("fcntl", 1, _INT, command)
        needed.allow("fcntl64", 1, _INT, command)
    for process in processes:
        needed.allow("kill", 0, _INT, process)
    needed.allow("tgkill", 0, _INT, next(iter(processes)))

    refused = _Filter(architecture)
    refused.refuse_all(REFUSED)
    for mask, value in (*_WRITING, *(() if read_write else _READING_AND_WRITING)):
        refused.refuse("open", 1, mask, value)
        refused.refuse("openat", 2, mask, value)
    refused.refuse_others()
    # It may send to whom it is connected, not to an address; it may ask for its limits, not set any.
    refused.refuse_pointer("sendto", 4)
    refused.refuse_pointer("prlimit64", 2)
    return needed.built, refused.built


def publisher_filter(*, unix: bool, architecture: int = 0) -> Any:
    """
    Return the publisher's filter.

    Args:
        unix: Whether it may make a socket that reaches others on this machine by a path.
        architecture: See `filters`.
    """
    refused = _Filter(architecture)
    refused.refuse_all({reason: REFUSED[reason] for reason in PUBLISHER_REFUSED})
    refused.refuse_others()
    spoken = {_AF_INET, _AF_INET6, *((_AF_UNIX,) if unix else ())}
    for family in sorted(set(range(_FAMILIES)) - spoken):
        refused.refuse("socket", 0, _INT, family, errno.EAFNOSUPPORT)
    return refused.built


def readiness_filter(pipe: int, readiness: int, child: int, architecture: int = 0) -> Any:
    """Return the filter of the helper that reads from *pipe*, sends to *readiness* and waits for *child*."""
    needed = _Filter(architecture, otherwise=errno.EPERM)
    needed.allow_all(HELPERS)
    for name, descriptor in (("read", pipe), ("close", pipe), ("kill", child), ("wait4", child)):
        needed.allow(name, 0, _INT, descriptor)
    needed.allow("write", 0, _INT, readiness)
    needed.allow("send", 0, _INT, readiness)
    needed.allow_without("sendto", readiness, 4)
    return needed.built


def number(name: str, architecture: int | None = None) -> int:
    """
    Return the number of the system call *name*; negative where the machine has none.

    Args:
        name: As the kernel's manual has it.
        architecture: One of pyseccomp's; None is this machine.
    """
    library = load_library()
    found = int(library.resolve_syscall(library.Arch.NATIVE if architecture is None else architecture, name))
    return _LATER[name] if found < 0 and name in _LATER else found


def load_library() -> Any:
    """
    Return pyseccomp; call it once before anything is given up, because it runs a program to look for libseccomp.

    Raises:
        SealError: one of them isn't there.
    """
    try:
        import pyseccomp  # noqa: PLC0415 - looks for libseccomp when it loads, and fails then
    except (ImportError, RuntimeError, OSError) as exc:
        raise SealError(f"seal: libseccomp can't be loaded ({exc}); run: sudo apt install libseccomp2") from exc
    return pyseccomp


class _Filter:
    """
    A filter that is being built.

    Comparisons of arguments look only at the bits that the kernel looks at; the rest of the register is the caller's
    to fill.
    """

    def __init__(self, architecture: int, otherwise: int | None = None) -> None:
        self._seccomp = load_library()
        self._architecture = architecture
        self.built = self._seccomp.SyscallFilter(
            self._seccomp.ALLOW if otherwise is None else self._seccomp.ERRNO(otherwise)
        )
        if architecture not in (0, self._seccomp.system_arch()):
            self.built.add_arch(architecture)
            self.built.remove_arch(self._seccomp.system_arch())
        self.built.set_attr(self._seccomp.Attr.CTL_TSYNC, 1)
        # no_new_privs stands already, and the first filter lets nobody set it again.
        self.built.set_attr(self._seccomp.Attr.CTL_NNP, 0)

    def allow_all(self, table: Mapping[str, str]) -> None:
        self._add_all(self._seccomp.ALLOW, table)

    def refuse_all(self, table: Mapping[str, str]) -> None:
        self._add_all(self._seccomp.ERRNO(errno.EPERM), table)

    def allow(self, name: str, argument: int, mask: int, value: int) -> None:
        """Let the call through when *mask* of its *argument* is *value*."""
        self._add(self._seccomp.ALLOW, name, self._seccomp.Arg(argument, self._seccomp.MASKED_EQ, mask, value))

    def allow_without(self, name: str, descriptor: int, pointer: int) -> None:
        """Let the call through on *descriptor* when its argument *pointer* is NULL."""
        first = self._seccomp.Arg(0, self._seccomp.MASKED_EQ, _INT, descriptor)
        self._add(self._seccomp.ALLOW, name, first, self._seccomp.Arg(pointer, self._seccomp.EQ, 0))

    def refuse(self, name: str, argument: int, mask: int, value: int, code: int = errno.EPERM) -> None:
        """Refuse the call with *code* when *mask* of its *argument* is *value*."""
        masked = self._seccomp.Arg(argument, self._seccomp.MASKED_EQ, mask, value)
        self._add(self._seccomp.ERRNO(code), name, masked)

    def refuse_others(self) -> None:
        """Refuse what reaches beyond this process: another process, futexes of others, pages that leave memory."""
        for mask, value in NOT_A_THREAD:
            self.refuse("clone", 0, mask, value)
        # A filter can't read its flags; glibc falls back to clone.
        self._add(self._seccomp.ERRNO(errno.ENOSYS), "clone3")
        for name in ("futex", "futex_time64"):
            for operation in FUTEX_WAITS:
                self.refuse(name, 1, FUTEX_KIND, operation, errno.EAGAIN)
            for operation in FUTEX_OTHERS:
                self.refuse(name, 1, FUTEX_KIND, operation)
        for advice in _EVICTING:
            self.refuse("madvise", 2, _INT, advice)

    def refuse_pointer(self, name: str, argument: int) -> None:
        """Refuse the call when its *argument* isn't NULL."""
        self._add(self._seccomp.ERRNO(errno.EPERM), name, self._seccomp.Arg(argument, self._seccomp.NE, 0))

    def _add_all(self, action: int, table: Mapping[str, str]) -> None:
        for names in table.values():
            for name in names.split():
                self._add(action, name)

    def _add(self, action: int, name: str, *conditions: Any) -> None:
        """Add a rule if the machine has such a call. Rules are given by this machine's numbers, for any other's."""
        if number(name, self._architecture) >= 0:
            here = int(self._seccomp.resolve_syscall(0, name))
            self.built.add_rule(action, _LATER.get(name, here) if here < 0 and name in _LATER else here, *conditions)
