/*
 * Records what a process changes in and makes durable below one directory, in the order in which it happens, so that
 * a test can work out what a power cut at any moment would have left. Preloaded by tests/store/power_loss.rs.
 *
 * POWERCUT_DIRECTORY names the directory, POWERCUT_LOG the file that is appended to. A record is a letter, then
 * numbers of eight bytes in the machine's order: the length of the path, the path, an offset, the length of the data,
 * the data.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static const char *directory;
static int log_file = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWERCUT_LOG");
    directory = getenv("POWERCUT_DIRECTORY");
    if (directory && path)
        log_file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_inside(const char *path) {
    size_t length = directory && log_file >= 0 ? strlen(directory) : 0;
    return length && strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int path_of(int file, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return is_inside(path);
}

static void put(const void *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = syscall(SYS_write, log_file, bytes, length);
        if (written <= 0)
            abort();
        bytes = (const char *)bytes + written;
        length -= written;
    }
}

static void record(char what, const char *path, uint64_t offset, const void *data, uint64_t length) {
    uint64_t path_length = strlen(path);
    put(&what, 1);
    put(&path_length, 8);
    put(path, path_length);
    put(&offset, 8);
    put(&length, 8);
    put(data, length);
}

#define IN_ORDER(call)                                                                                                 \
    pthread_mutex_lock(&order);                                                                                        \
    call;                                                                                                              \
    pthread_mutex_unlock(&order);

static int open_at(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX] = "";
    struct stat stat;
    int file;
    if (path[0] == '/')
        snprintf(whole, sizeof whole, "%s", path);
    int existed = fstatat(at, path, &stat, 0) == 0;
    IN_ORDER({
        file = syscall(SYS_openat, at, path, flags, mode);
        if (file >= 0 && is_inside(whole)) {
            if (!existed && (flags & O_CREAT))
                record('c', whole, 0, "", 0);
            else if (flags & O_TRUNC)
                record('t', whole, 0, "", 0);
        }
    })
    return file;
}

#define OPEN_MODE                                                                                                      \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) { OPEN_MODE return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { OPEN_MODE return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { OPEN_MODE return open_at(at, path, flags | O_LARGEFILE, mode); }

static ssize_t write_at(int file, const void *data, size_t length, off_t offset) {
    char path[PATH_MAX];
    ssize_t written;
    int inside = path_of(file, path);
    IN_ORDER({
        if (offset < 0) {
            off_t here = inside ? lseek(file, 0, SEEK_CUR) : 0;
            written = syscall(SYS_write, file, data, length);
            offset = here;
        } else {
            written = syscall(SYS_pwrite64, file, data, length, offset);
        }
        if (inside && written > 0)
            record('w', path, offset, data, written);
    })
    return written;
}

ssize_t write(int file, const void *data, size_t length) { return write_at(file, data, length, -1); }
ssize_t pwrite(int file, const void *data, size_t length, off_t offset) { return write_at(file, data, length, offset); }
ssize_t pwrite64(int file, const void *data, size_t length, off_t offset) { return write_at(file, data, length, offset); }

/* A vector is written by its first part: callers go on with what was not written. */
ssize_t writev(int file, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!path_of(file, path))
        return syscall(SYS_writev, file, parts, count);
    return count ? write_at(file, parts[0].iov_base, parts[0].iov_len, -1) : 0;
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    return count ? write_at(file, parts[0].iov_base, parts[0].iov_len, offset) : 0;
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off_t offset) {
    return pwritev(file, parts, count, offset);
}

static int truncate_to(int file, off_t length) {
    char path[PATH_MAX];
    int inside = path_of(file, path), outcome;
    IN_ORDER({
        outcome = syscall(SYS_ftruncate, file, length);
        if (inside && outcome == 0)
            record('t', path, length, "", 0);
    })
    return outcome;
}

int ftruncate(int file, off_t length) { return truncate_to(file, length); }
int ftruncate64(int file, off_t length) { return truncate_to(file, length); }

static int sync_by(long call, int file) {
    char path[PATH_MAX];
    int inside = path_of(file, path), outcome;
    IN_ORDER({
        outcome = inside ? 0 : syscall(call, file);
        if (inside)
            record('s', path, 0, "", 0);
    })
    return outcome;
}

/* The machine does not really lose power, so there is no need to wait for its disk. */
int fsync(int file) { return sync_by(SYS_fsync, file); }
int fdatasync(int file) { return sync_by(SYS_fdatasync, file); }

int rename(const char *from, const char *to) {
    int outcome;
    IN_ORDER({
        outcome = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
        if (outcome == 0 && is_inside(from))
            record('r', from, 0, to, strlen(to));
    })
    return outcome;
}

static int remove_at(int at, const char *path, int flags) {
    char whole[PATH_MAX] = "";
    int outcome;
    if (path[0] == '/')
        snprintf(whole, sizeof whole, "%s", path);
    else if (path_of(at, whole) && strlen(whole) + strlen(path) + 2 < sizeof whole)
        strcat(strcat(whole, "/"), path);
    IN_ORDER({
        outcome = syscall(SYS_unlinkat, at, path, flags);
        if (outcome == 0 && is_inside(whole))
            record('u', whole, 0, "", 0);
    })
    return outcome;
}

int unlink(const char *path) { return remove_at(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return remove_at(AT_FDCWD, path, AT_REMOVEDIR); }
int unlinkat(int at, const char *path, int flags) { return remove_at(at, path, flags); }

int mkdir(const char *path, mode_t mode) {
    int outcome;
    IN_ORDER({
        outcome = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
        if (outcome == 0 && is_inside(path))
            record('d', path, 0, "", 0);
    })
    return outcome;
}
