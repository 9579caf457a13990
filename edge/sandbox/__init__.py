"""What the kernel enforces on a process: Landlock, seccomp, namespaces; and the self-test that shows it."""
