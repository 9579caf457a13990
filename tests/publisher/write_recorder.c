/* Preloaded under a real process, records what it does to the file whose path is in RECORD_PATH and to the `-wal` beside
 * it, in order, into the file RECORD_LOG: so that a disk can be rebuilt as a power cut would have left it. Needs no
 * header, so that gcc alone can build it.
 *
 * A record, packed: u8 operation (W write, T truncate, S sync, U unlink, M mark), u8 file (0 the ledger, 1 its log),
 * u64 offset, size or number, u32 length of the data that follows (W only). */

extern char *getenv(const char *name);
extern long syscall(long number, ...);
extern void abort(void);

#if defined(__x86_64__)
enum { WRITE = 1, CLOSE = 3, PWRITE = 18, FSYNC = 74, FDATASYNC = 75, FTRUNCATE = 77, OPENAT = 257, UNLINKAT = 263 };
#elif defined(__aarch64__)
enum { WRITE = 64, CLOSE = 57, PWRITE = 68, FSYNC = 82, FDATASYNC = 83, FTRUNCATE = 46, OPENAT = 56, UNLINKAT = 35 };
#endif
enum { HERE = -100, FILES = 1024, WRITE_ONLY = 1, CREATE = 0100, APPEND = 02000, CLOSE_ON_EXEC = 02000000 };

struct record {
    char operation;
    char file;
    unsigned long long offset;
    unsigned length;
} __attribute__((packed));

static signed char file_of[FILES]; /* descriptor -> file + 1 */
static int log_file = -2;

static int recording(void) {
    if (log_file == -2) {
        const char *path = getenv("RECORD_LOG");
        int flags = WRITE_ONLY | CREATE | APPEND | CLOSE_ON_EXEC;
        log_file = path == 0 ? -1 : (int)syscall(OPENAT, HERE, path, flags, 0600);
    }
    return log_file >= 0;
}

static void append(const char *data, long size) {
    while (size > 0) {
        long done = syscall(WRITE, log_file, data, size);
        if (done < 0) abort();
        data += done;
        size -= done;
    }
}

static void record(char operation, int file, unsigned long long offset, const char *data, unsigned length) {
    struct record head = {operation, (char)file, offset, length};
    append((const char *)&head, sizeof head);
    append(data, length);
}

/* For the recorded program itself: its own progress, between its writes. */
void record_mark(unsigned number) {
    if (recording()) record('M', 0, number, "", 0);
}

static int named(const char *path) {
    const char *wanted = getenv("RECORD_PATH"), *end = "-wal";
    if (wanted == 0) return -1;
    for (; *wanted; wanted++, path++)
        if (*wanted != *path) return -1;
    if (*path == 0) return 0;
    for (; *end; end++, path++)
        if (*end != *path) return -1;
    return *path == 0 ? 1 : -1;
}

static int known(int descriptor) {
    return descriptor >= 0 && descriptor < FILES ? file_of[descriptor] - 1 : -1;
}

int open64(const char *path, int flags, unsigned mode) {
    int descriptor = (int)syscall(OPENAT, HERE, path, flags, mode);
    if (descriptor >= 0 && descriptor < FILES) file_of[descriptor] = recording() ? (signed char)(named(path) + 1) : 0;
    return descriptor;
}

int open(const char *path, int flags, unsigned mode) { return open64(path, flags, mode); }

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < FILES) file_of[descriptor] = 0;
    return (int)syscall(CLOSE, descriptor);
}

long pwrite64(int descriptor, const char *data, unsigned long size, long offset) {
    long done = syscall(PWRITE, descriptor, data, size, offset);
    if (known(descriptor) >= 0 && done > 0) record('W', known(descriptor), (unsigned long)offset, data, (unsigned)done);
    return done;
}

long pwrite(int descriptor, const char *data, unsigned long size, long offset) {
    return pwrite64(descriptor, data, size, offset);
}

int ftruncate64(int descriptor, long size) {
    int result = (int)syscall(FTRUNCATE, descriptor, size);
    if (known(descriptor) >= 0 && result == 0) record('T', known(descriptor), (unsigned long)size, "", 0);
    return result;
}

int ftruncate(int descriptor, long size) { return ftruncate64(descriptor, size); }

int fdatasync(int descriptor) {
    int result = (int)syscall(FDATASYNC, descriptor);
    if (known(descriptor) >= 0 && result == 0) record('S', known(descriptor), 0, "", 0);
    return result;
}

int fsync(int descriptor) {
    int result = (int)syscall(FSYNC, descriptor);
    if (known(descriptor) >= 0 && result == 0) record('S', known(descriptor), 0, "", 0);
    return result;
}

int unlink(const char *path) {
    int result = (int)syscall(UNLINKAT, HERE, path, 0);
    if (result == 0 && named(path) >= 0 && recording()) record('U', named(path), 0, "", 0);
    return result;
}
