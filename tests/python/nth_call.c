/* Counts the calls that change files under one folder, over all processes of a command, and at the n-th lets it fail,
   writes half of it, or kills. Preloaded (LD_PRELOAD) by nth_call.py, which says what the variables mean.

   Seen is what goes through the C library by name: all of CPython's and DuckDB's writing does. The calls that count
   are numbered by an atomic counter in a file that every process maps. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { COUNT, FAIL, HALF, KILL_BEFORE, KILL_AFTER };

static char folder[PATH_MAX], kinds[256], match[256];
static size_t folder_length;
static unsigned long at;
static int error_number, is_lasting, log_descriptor = -1;
static enum action action;
static _Atomic unsigned long *counter;

static const char *given(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* Takes over what the environment says; called when the library is loaded, and by a forked process once it has set its
   own (os.environ). */
__attribute__((constructor)) void nth_call_begin(void) {
    counter = NULL;
    snprintf(folder, sizeof folder, "%s/", given("NTH_CALL_FOLDER"));
    folder_length = strlen(folder);
    snprintf(kinds, sizeof kinds, ",%s,", given("NTH_CALL_KINDS"));
    snprintf(match, sizeof match, "%s", given("NTH_CALL_MATCH"));
    at = strtoul(given("NTH_CALL_AT"), NULL, 10);
    is_lasting = *given("NTH_CALL_LASTING") != 0;
    const char *what = given("NTH_CALL_ACTION");
    error_number = strcmp(what, "EIO") == 0 ? EIO : ENOSPC;
    action = !strcmp(what, "EIO") || !strcmp(what, "ENOSPC") ? FAIL
             : !strcmp(what, "half")                         ? HALF
             : !strcmp(what, "kill before")                  ? KILL_BEFORE
             : !strcmp(what, "kill after")                   ? KILL_AFTER
                                                             : COUNT;
    if (!*given("NTH_CALL_COUNTER")) return;
    int file = syscall(SYS_openat, AT_FDCWD, given("NTH_CALL_COUNTER"), O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (log_descriptor >= 0) syscall(SYS_close, log_descriptor);
    log_descriptor = *given("NTH_CALL_LOG")
                         ? (int)syscall(SYS_openat, AT_FDCWD, given("NTH_CALL_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC)
                         : -1;
    if (mapped != MAP_FAILED) counter = mapped;
}

static void die(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

/* What is to be done at this call: COUNT where nothing is. */
static enum action counted(const char *kind, const char *path) {
    char wanted[32];
    if (!counter || strncmp(path, folder, folder_length) != 0) return COUNT;
    snprintf(wanted, sizeof wanted, ",%s,", kind);
    if (!strstr(kinds, wanted) || (*match && !strstr(path + folder_length, match))) return COUNT;
    unsigned long number = atomic_fetch_add(counter, 1) + 1;
    if (log_descriptor >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%lu %s %s\n", number, kind, path + folder_length);
        syscall(SYS_write, log_descriptor, line, (size_t)length);
    }
    if (!at || !(number == at || (is_lasting && number > at))) return COUNT;
    if (action == KILL_BEFORE) die();
    return action;
}

static enum action by_descriptor(const char *kind, int descriptor) {
    char link[64], path[PATH_MAX];
    if (!counter) return COUNT;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return COUNT;
    path[length] = 0;
    return counted(kind, path);
}

static enum action by_path(const char *kind, int directory, const char *path) {
    char base[PATH_MAX], link[64], whole[2 * PATH_MAX];
    if (!counter || !path) return COUNT;
    if (*path == '/') return counted(kind, path);
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return COUNT;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length <= 0) return COUNT;
        base[length] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return counted(kind, whole);
}

#define REAL(type, name, ...)                                                  \
    static type (*real)(__VA_ARGS__);                                          \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* A call that changes a file, with all that may become of it. There is no half of it but where bytes are written. */
#define CALL(type, found, real_call)                                           \
    enum action todo = found;                                                  \
    if (todo == FAIL) {                                                        \
        errno = error_number;                                                  \
        return -1;                                                             \
    }                                                                          \
    if (todo == HALF) die();                                                   \
    type result = real_call;                                                   \
    if (todo == KILL_AFTER) die();                                             \
    return result

#define WRITING(found, real_half, real_call)                                   \
    enum action todo = found;                                                  \
    if (todo == FAIL) {                                                        \
        errno = error_number;                                                  \
        return -1;                                                             \
    }                                                                          \
    if (todo == HALF) {                                                        \
        if (real_half < 0) {}                                                  \
        die();                                                                 \
    }                                                                          \
    ssize_t result = real_call;                                                \
    if (todo == KILL_AFTER) die();                                             \
    return result

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITING(by_descriptor("write", fd), real(fd, bytes, size / 2), real(fd, bytes, size));
}

#define PWRITE(name, offset_type)                                              \
    ssize_t name(int fd, const void *bytes, size_t size, offset_type offset) { \
        REAL(ssize_t, name, int, const void *, size_t, offset_type);           \
        WRITING(by_descriptor("write", fd), real(fd, bytes, size / 2, offset), \
                real(fd, bytes, size, offset));                                \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    WRITING(by_descriptor("write", fd), real(fd, parts, count / 2), real(fd, parts, count));
}

int fsync(int fd) {
    REAL(int, fsync, int);
    CALL(int, by_descriptor("sync", fd), real(fd));
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    CALL(int, by_descriptor("sync", fd), real(fd));
}

#define FTRUNCATE(name, length_type)                                           \
    int name(int fd, length_type length) {                                     \
        REAL(int, name, int, length_type);                                     \
        CALL(int, by_descriptor("truncate", fd), real(fd, length));            \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    CALL(int, by_path("rename", AT_FDCWD, to), real(from, to));
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    CALL(int, by_path("rename", to_fd, to), real(from_fd, from, to_fd, to));
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    CALL(int, by_path("rename", to_fd, to), real(from_fd, from, to_fd, to, flags));
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    CALL(int, by_path("unlink", AT_FDCWD, path), real(path));
}

int unlinkat(int directory, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    CALL(int, by_path("unlink", directory, path), real(directory, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    CALL(int, by_path("mkdir", AT_FDCWD, path), real(path, mode));
}

/* Only an open that may make a file changes something. */
#define MODE_OF(flags)                                                         \
    mode_t mode = 0;                                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                                       \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode = va_arg(rest, mode_t);                                           \
        va_end(rest);                                                          \
    }

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        MODE_OF(flags)                                                         \
        REAL(int, name, const char *, int, ...);                               \
        CALL(int, flags &O_CREAT ? by_path("create", AT_FDCWD, path) : COUNT,  \
             real(path, flags, mode));                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
    int name(int directory, const char *path, int flags, ...) {                \
        MODE_OF(flags)                                                         \
        REAL(int, name, int, const char *, int, ...);                          \
        CALL(int, flags &O_CREAT ? by_path("create", directory, path) : COUNT, \
             real(directory, path, flags, mode));                              \
    }
OPENAT(openat)
OPENAT(openat64)
