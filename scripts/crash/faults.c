// Stands between a program and the C library (LD_PRELOAD): counts what the program does to the files below one folder, records it, and at
// the n-th operation kills the process, lets the operation fail, or does half of it. It also sets the clock. For the crash harness only.
//
//   SLUICE_FAULT_FOLDER    canonical path of the folder
//   SLUICE_FAULT_CONTROL   a file with a struct Control: shared memory with the harness
//   SLUICE_FAULT_LOG       operations are appended to this file (see operations.mjs), each with the data that it wrote
//   SLUICE_FAULT_NO_SYNC   if set, files are not really synced: the record is all that is wanted
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum Kind { WRITE = 1, SYNC = 2, SIZE = 4, RENAME = 8, CREATE = 16, REMOVE = 32, READ = 64 };
enum Action { NOTHING, KILL_BEFORE, KILL_HALFWAY, KILL_AFTER, FAIL, SHORT };
enum Record { R_CREATE = 1, R_WRITE, R_SIZE, R_SYNC, R_RENAME, R_EXCHANGE, R_REMOVE, R_LINK };

struct Control {
  int64_t count;      // operations so far, of the kinds below
  int64_t at;         // the operation that something happens to, from 1; 0: none
  uint32_t action, error;
  uint32_t kinds;     // that count
  uint32_t lasting;   // it happens to all later ones, too
  int64_t clock;      // nanoseconds by which the clock is ahead
  int64_t happened;   // how often it did
};

struct Header {
  uint32_t bytes;  // of the whole record
  uint32_t type;
  uint64_t inode, offset, length;
  uint32_t flags;  // of R_WRITE: 1: durable when it returns; of R_CREATE: 1: a folder
  uint16_t first, second;  // lengths of paths, relative to the folder
};

#define MAX_FD 65536
struct Tracked { uint64_t inode; int flags; int used; };

static struct Tracked files[MAX_FD];
static struct Control idle, *control = &idle;
static char folder[PATH_MAX];
static size_t folder_length;
static int log_fd = -1, no_sync;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/// The C library's own function.
#define REAL(name) ({ static __typeof__(&name) found; if (found == NULL) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name); found; })

__attribute__((constructor)) static void begin(void) {
  const char* name = getenv("SLUICE_FAULT_FOLDER");
  if (name == NULL) return;
  snprintf(folder, sizeof folder, "%s", name);
  folder_length = strlen(folder);
  no_sync = getenv("SLUICE_FAULT_NO_SYNC") != NULL;
  if ((name = getenv("SLUICE_FAULT_LOG")) != NULL) log_fd = REAL(open)(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if ((name = getenv("SLUICE_FAULT_CONTROL")) == NULL) return;
  const int fd = REAL(open)(name, O_RDWR | O_CLOEXEC);
  void* memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof idle, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) abort();
  control = memory;
  REAL(close)(fd);
}

/// The path relative to the folder, or NULL where it lies elsewhere. The last name is taken as it is.
static const char* inside(int at, const char* path, char* out) {
  if (folder_length == 0 || path == NULL) return NULL;
  char whole[2 * PATH_MAX], parent[PATH_MAX];
  if (path[0] == '/') {
    snprintf(whole, sizeof whole, "%s", path);
  } else {
    char base[PATH_MAX] = "", link[64];
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    if (readlink(link, base, sizeof base - 1) < 0) return NULL;
    snprintf(whole, sizeof whole, "%s/%s", base, path);
  }
  for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; --n) whole[n - 1] = '\0';
  char* name = strrchr(whole, '/');
  if (name == NULL) return NULL;
  *name++ = '\0';
  if (realpath(whole[0] ? whole : "/", parent) == NULL) return NULL;
  if (snprintf(out, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX) return NULL;
  const int below = strncmp(out, folder, folder_length) == 0 && (out[folder_length] == '/' || out[folder_length] == '\0');
  return below ? out + folder_length + (out[folder_length] == '/') : NULL;
}

static void record(enum Record type, uint64_t inode, uint64_t offset, const void* data, uint64_t length, uint32_t flags, const char* a, const char* b) {
  if (log_fd < 0) return;
  struct Header h = {0, type, inode, offset, length, flags, a ? strlen(a) : 0, b ? strlen(b) : 0};
  const size_t with = type == R_WRITE ? length : 0;
  h.bytes = sizeof h + h.first + h.second + with;
  struct iovec parts[] = {{&h, sizeof h}, {(void*)a, h.first}, {(void*)b, h.second}, {(void*)data, with}};
  if (REAL(writev)(log_fd, parts, 4) != (ssize_t)h.bytes) abort();
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/// Counts an operation and says what happens to it; sets errno for FAIL. Holds the mutex.
static enum Action next(enum Kind kind) {
  if ((control->kinds & kind) == 0) return NOTHING;
  const int64_t n = ++control->count;
  if (control->at == 0 || n < control->at || (n > control->at && !control->lasting)) return NOTHING;
  ++control->happened;
  if (control->action == KILL_BEFORE) die();
  if (control->action == FAIL) errno = (int)control->error;
  return control->action;
}

static void after(enum Action action) {
  if (action == KILL_AFTER || action == KILL_HALFWAY) die();
}

/// 0 where it is no file or folder.
static uint64_t inode_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) ? status.st_ino : 0;
}

/// Some close without close(): libuv calls the kernel itself.
static struct Tracked* tracked(int fd) {
  if (folder_length == 0 || fd < 0 || fd >= MAX_FD || !files[fd].used) return NULL;
  if (inode_of(fd) == files[fd].inode) return &files[fd];
  files[fd].used = 0;
  return NULL;
}

static int open_any(int at, const char* path, int flags, mode_t mode) {
  char out[PATH_MAX];
  const char* name = inside(at, path, out);
  if (name == NULL) {
    const int fd = REAL(openat)(at, path, flags, mode);
    if (fd >= 0 && fd < MAX_FD) files[fd].used = 0;
    return fd;
  }
  pthread_mutex_lock(&mutex);
  const int fresh = (flags & O_CREAT) != 0 && faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
  const enum Action action = fresh ? next(CREATE) : NOTHING;
  int fd = -1;
  if (action != FAIL) {
    fd = REAL(openat)(at, path, flags, mode);
    if (fd >= 0 && fd < MAX_FD) {
      files[fd] = (struct Tracked){inode_of(fd), flags, 1};
      if (fresh) record(R_CREATE, files[fd].inode, 0, NULL, 0, 0, name, NULL);
      else if (flags & O_TRUNC) record(R_SIZE, files[fd].inode, 0, NULL, 0, 0, NULL, NULL);
    }
    after(action);
  }
  pthread_mutex_unlock(&mutex);
  return fd;
}

#define OPEN_MODE(last)                                   \
  mode_t mode = 0;                                        \
  if (flags & (O_CREAT | O_TMPFILE)) {                    \
    va_list rest;                                         \
    va_start(rest, last);                                 \
    mode = va_arg(rest, mode_t);                          \
    va_end(rest);                                         \
  }
int open(const char* path, int flags, ...) { OPEN_MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char* path, int flags, ...) { OPEN_MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char* path, int flags, ...) { OPEN_MODE(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char* path, int flags, ...) { OPEN_MODE(flags) return open_any(at, path, flags, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MAX_FD) files[fd].used = 0;
  return REAL(close)(fd);
}

/// offset < 0: at the file's own position.
static ssize_t write_any(struct Tracked* file, int fd, const void* data, size_t bytes, off64_t offset) {
  pthread_mutex_lock(&mutex);
  const enum Action action = next(WRITE);
  ssize_t done = -1;
  if (action != FAIL) {
    const size_t part = (action == SHORT || action == KILL_HALFWAY) && bytes > 1 ? bytes / 2 : bytes;
    struct stat status = {0};
    if (offset < 0 && (file->flags & O_APPEND)) fstat(fd, &status);
    const off64_t from = offset >= 0 ? offset : (file->flags & O_APPEND) ? status.st_size : lseek64(fd, 0, SEEK_CUR);
    done = offset < 0 ? REAL(write)(fd, data, part) : REAL(pwrite64)(fd, data, part, offset);
    if (done > 0) record(R_WRITE, file->inode, from, data, done, (file->flags & (O_DSYNC | O_SYNC)) != 0, NULL, NULL);
    after(action);
  }
  pthread_mutex_unlock(&mutex);
  return done;
}

static ssize_t write_parts(struct Tracked* file, int fd, const struct iovec* parts, int n, off64_t offset) {
  size_t bytes = 0;
  for (int i = 0; i < n; ++i) bytes += parts[i].iov_len;
  char* joined = malloc(bytes + 1);
  char* to = joined;
  for (int i = 0; i < n; ++i) to = mempcpy(to, parts[i].iov_base, parts[i].iov_len);
  const ssize_t done = write_any(file, fd, joined, bytes, offset);
  free(joined);
  return done;
}

#define WITH_FILE struct Tracked* file = tracked(fd); if (file == NULL)
ssize_t write(int fd, const void* data, size_t bytes) { WITH_FILE return REAL(write)(fd, data, bytes); return write_any(file, fd, data, bytes, -1); }
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) { WITH_FILE return REAL(pwrite)(fd, data, bytes, at); return write_any(file, fd, data, bytes, at); }
ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) { WITH_FILE return REAL(pwrite64)(fd, data, bytes, at); return write_any(file, fd, data, bytes, at); }
ssize_t writev(int fd, const struct iovec* parts, int n) { WITH_FILE return REAL(writev)(fd, parts, n); return write_parts(file, fd, parts, n, -1); }
ssize_t pwritev(int fd, const struct iovec* parts, int n, off_t at) { WITH_FILE return REAL(pwritev)(fd, parts, n, at); return write_parts(file, fd, parts, n, at); }
ssize_t pwritev64(int fd, const struct iovec* parts, int n, off64_t at) { WITH_FILE return REAL(pwritev64)(fd, parts, n, at); return write_parts(file, fd, parts, n, at); }

static ssize_t read_any(int fd, void* data, size_t bytes, off64_t at) {
  pthread_mutex_lock(&mutex);
  const enum Action action = next(READ);
  pthread_mutex_unlock(&mutex);
  if (action == FAIL) return -1;
  const size_t part = action == SHORT && bytes > 1 ? bytes / 2 : bytes;
  const ssize_t done = at < 0 ? REAL(read)(fd, data, part) : REAL(pread64)(fd, data, part, at);
  after(action);
  return done;
}

ssize_t read(int fd, void* data, size_t bytes) { WITH_FILE return REAL(read)(fd, data, bytes); return read_any(fd, data, bytes, -1); }
ssize_t pread(int fd, void* data, size_t bytes, off_t at) { WITH_FILE return REAL(pread)(fd, data, bytes, at); return read_any(fd, data, bytes, at); }
ssize_t pread64(int fd, void* data, size_t bytes, off64_t at) { WITH_FILE return REAL(pread64)(fd, data, bytes, at); return read_any(fd, data, bytes, at); }

#define SYNC_FILE(name)                                                     \
  int name(int fd) {                                                        \
    WITH_FILE return REAL(name)(fd);                                        \
    pthread_mutex_lock(&mutex);                                             \
    const enum Action action = next(SYNC);                                  \
    int rc = action == FAIL ? -1 : no_sync ? 0 : REAL(name)(fd);            \
    if (rc == 0) record(R_SYNC, file->inode, 0, NULL, 0, 0, NULL, NULL);    \
    after(action);                                                          \
    pthread_mutex_unlock(&mutex);                                           \
    return rc;                                                              \
  }
SYNC_FILE(fsync)
SYNC_FILE(fdatasync)

/// `size`: of the file afterwards; `grow` only lengthens it.
#define RESIZE(call, wanted, grow, failed)                                                               \
  WITH_FILE return call;                                                                                 \
  pthread_mutex_lock(&mutex);                                                                            \
  const enum Action action = next(SIZE);                                                                 \
  struct stat status = {0};                                                                              \
  fstat(fd, &status);                                                                                    \
  const int rc = action == FAIL ? (failed) : (call);                                                     \
  const uint64_t size = (grow) && status.st_size > (wanted) ? (uint64_t)status.st_size : (uint64_t)(wanted); \
  if (rc == 0) record(R_SIZE, file->inode, 0, NULL, size, 0, NULL, NULL);                                \
  after(action);                                                                                         \
  pthread_mutex_unlock(&mutex);                                                                          \
  return rc;
int ftruncate(int fd, off_t bytes) { RESIZE(REAL(ftruncate)(fd, bytes), bytes, 0, -1) }
int ftruncate64(int fd, off64_t bytes) { RESIZE(REAL(ftruncate64)(fd, bytes), bytes, 0, -1) }
int fallocate(int fd, int how, off_t at, off_t bytes) { RESIZE(REAL(fallocate)(fd, how, at, bytes), at + bytes, 1, -1) }
int fallocate64(int fd, int how, off64_t at, off64_t bytes) { RESIZE(REAL(fallocate64)(fd, how, at, bytes), at + bytes, 1, -1) }
int posix_fallocate(int fd, off_t at, off_t bytes) { RESIZE(REAL(posix_fallocate)(fd, at, bytes), at + bytes, 1, (int)control->error) }
int posix_fallocate64(int fd, off64_t at, off64_t bytes) { RESIZE(REAL(posix_fallocate64)(fd, at, bytes), at + bytes, 1, (int)control->error) }

/// An operation on names: `a` decides whether it is tracked.
#define NAMES(kind, type, call, at_a, path_a, at_b, path_b, folder_flag)                                 \
  char out_a[PATH_MAX], out_b[PATH_MAX];                                                                 \
  const char* a = inside(at_a, path_a, out_a);                                                           \
  if (a == NULL) return call;                                                                            \
  const char* b = inside(at_b, path_b, out_b);                                                           \
  pthread_mutex_lock(&mutex);                                                                            \
  const enum Action action = next(kind);                                                                 \
  const int rc = action == FAIL ? -1 : (call);                                                           \
  const int error = errno;                                                                               \
  struct stat status = {0};                                                                              \
  if (rc == 0 && (type) == R_CREATE) fstatat(at_a, path_a, &status, AT_SYMLINK_NOFOLLOW);                \
  if (rc == 0) record(type, status.st_ino, 0, NULL, 0, folder_flag, a, b);                               \
  if (rc == 0) after(action);                                                                            \
  pthread_mutex_unlock(&mutex);                                                                          \
  errno = error;                                                                                         \
  return rc;
int rename(const char* from, const char* to) { NAMES(RENAME, R_RENAME, REAL(rename)(from, to), AT_FDCWD, from, AT_FDCWD, to, 0) }
int renameat(int f, const char* from, int t, const char* to) { NAMES(RENAME, R_RENAME, REAL(renameat)(f, from, t, to), f, from, t, to, 0) }
int renameat2(int f, const char* from, int t, const char* to, unsigned int how) {
  NAMES(RENAME, how & RENAME_EXCHANGE ? R_EXCHANGE : R_RENAME, REAL(renameat2)(f, from, t, to, how), f, from, t, to, 0)
}
int link(const char* from, const char* to) { NAMES(CREATE, R_LINK, REAL(link)(from, to), AT_FDCWD, from, AT_FDCWD, to, 0) }
int unlink(const char* path) { NAMES(REMOVE, R_REMOVE, REAL(unlink)(path), AT_FDCWD, path, AT_FDCWD, NULL, 0) }
int unlinkat(int at, const char* path, int how) { NAMES(REMOVE, R_REMOVE, REAL(unlinkat)(at, path, how), at, path, at, NULL, 0) }
int remove(const char* path) { NAMES(REMOVE, R_REMOVE, REAL(remove)(path), AT_FDCWD, path, AT_FDCWD, NULL, 0) }
int rmdir(const char* path) { NAMES(REMOVE, R_REMOVE, REAL(rmdir)(path), AT_FDCWD, path, AT_FDCWD, NULL, 0) }
int mkdir(const char* path, mode_t mode) { NAMES(CREATE, R_CREATE, REAL(mkdir)(path, mode), AT_FDCWD, path, AT_FDCWD, NULL, 1) }
int mkdirat(int at, const char* path, mode_t mode) { NAMES(CREATE, R_CREATE, REAL(mkdirat)(at, path, mode), at, path, at, NULL, 1) }

char* mkdtemp(char* pattern) {
  pthread_mutex_lock(&mutex);
  char out[PATH_MAX];
  const char* name = inside(AT_FDCWD, pattern, out);
  const enum Action action = name == NULL ? NOTHING : next(CREATE);
  char* made = action == FAIL ? NULL : REAL(mkdtemp)(pattern);
  struct stat status;
  if (made != NULL && (name = inside(AT_FDCWD, made, out)) != NULL && stat(made, &status) == 0) record(R_CREATE, status.st_ino, 0, NULL, 0, 1, name, NULL);
  after(action);
  pthread_mutex_unlock(&mutex);
  return made;
}

int clock_gettime(clockid_t clock, struct timespec* t) {
  const int rc = REAL(clock_gettime)(clock, t);
  if (rc != 0 || control->clock == 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return rc;
  const int64_t ns = t->tv_sec * 1000000000LL + t->tv_nsec + control->clock;
  t->tv_sec = ns / 1000000000;
  t->tv_nsec = ns % 1000000000;
  return 0;
}

int gettimeofday(struct timeval* t, void* zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t != NULL) *t = now.tv_sec;
  return now.tv_sec;
}
