// What scripts/faults and scripts/kills preload (LD_PRELOAD) into boxcam's programs: the n-th call of one kind fails,
// or the process is killed at the n-th change of a file, or what happens to files is written down. Acts from main on,
// until main returns. Of calls that concern files, those below BOXCAM_FAULTS_FOLDER (and relative paths) count alone.
//
//   BOXCAM_FAULTS_PROGRAM   the program it acts in; others, which a study starts, run as always
//   BOXCAM_FAULTS_FOLDER    an absolute path
//   BOXCAM_FAULTS_FAIL      KIND:N, the call that fails
//   BOXCAM_FAULTS_ORIGIN    a file for the name of the library (or program) that made the call which failed, and for
//   its
//                           call stack
//   BOXCAM_FAULTS_KILL      N: SIGKILL before the N-th change
//   BOXCAM_FAULTS_CLOCK     1: the time of day jumps back by an hour at every look
//   BOXCAM_FAULTS_LEAK      1: a handle and a page are never given back after every fsync
//   BOXCAM_FAULTS_STOP      1: SIGSTOP after every fsync; who watches sends SIGCONT
//   BOXCAM_FAULTS_COUNT     a file for the number of calls of each kind, and for the numbers of those allocations that
//   are
//                           the first of their call stack
//   BOXCAM_FAULTS_JOURNAL   a file for everything that is changed, in order (tests/faults/disk.py reads it)
//
// Nothing here may allocate: malloc is one of the functions that are replaced.
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

enum Kind { alloc, open_, read_, write_, fsync_, rename_, folder_, list_, map, thread, fork_, change, kinds };
struct Call {
  const char* name;
  int error;
};
// `change` is all that alters files, together: it is where a process can be killed.
constexpr Call calls[kinds] = {{"alloc", ENOMEM}, {"open", EMFILE},   {"read", EIO},    {"write", ENOSPC},
                               {"fsync", EIO},    {"rename", EIO},    {"folder", EIO},  {"list", EIO},
                               {"mmap", ENOMEM},  {"thread", EAGAIN}, {"fork", EAGAIN}, {"change", 0}};

std::atomic<bool> active = false;
std::atomic<long> counts[kinds];
Kind failing = kinds;
long fail_at = 0, kill_at = 0;
const char *folder = "", *origin = "";
__attribute__((tls_model("initial-exec"))) thread_local bool inside = false;  // this library's own doing
int journal = -1;
pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;  // of the journal and of what it tells of

/// The function that this library hides.
template <class F>
F hidden(F, const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}
#define REAL(function) static const auto real = hidden(&::function, #function)

bool is_ours(const char* path) {
  return path[0] != '/' || (folder[0] != '\0' && std::strncmp(path, folder, std::strlen(folder)) == 0);
}

/// Writes down whose call it is: the first caller but this library and those that pass calls on.
void note_origin() {
  if (origin[0] == '\0') return;
  inside = true;
  void* frames[40];
  const int depth = backtrace(frames, 40);
  for (int i = 0; i < depth; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0) continue;
    const char* slash = std::strrchr(info.dli_fname, '/');
    const char* name = slash != nullptr ? slash + 1 : info.dli_fname;
    if (std::strstr(name, "libboxcam_faults") || std::strstr(name, "libc.so") || std::strstr(name, "libstdc++"))
      continue;
    const int file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, origin, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    dprintf(file, "%s\n", name);
    backtrace_symbols_fd(frames, depth, file);
    syscall(SYS_close, file);
    break;
  }
  inside = false;
}

/// Whether this call is the one that fails; errno is set then.
bool strikes(Kind kind) {
  if (!active || inside) return false;
  const long number = ++counts[kind];
  if (kind != failing || number != fail_at) return false;
  note_origin();
  errno = calls[kind].error;
  return true;
}

/// Before something changes: where the process may be killed.
void about_to_change() {
  if (active && ++counts[change] == kill_at) kill(getpid(), SIGKILL);
}

// ---- allocations
// -----------------------------------------------------------------------------------------------------

// Of every call stack (a hash of a few return addresses) the number of its first allocation.
constexpr size_t slots = size_t{1} << 16;
std::array<std::atomic<uint64_t>, slots> stacks;
std::array<std::atomic<long>, slots> first_of_stack;
std::atomic<bool> counting = false, jumps = false, leaks = false, stops = false;
std::atomic<long> looks = 0;  // at the clock

void note_stack(long number) {
  if (inside) return;  // backtrace allocates the first time
  inside = true;
  void* frames[5];
  const int depth = backtrace(frames, 5);
  uint64_t hash = 14695981039346656037u;
  for (int i = 2; i < depth; ++i) hash = (hash ^ reinterpret_cast<uintptr_t>(frames[i])) * 1099511628211u;
  for (size_t slot = hash % slots, tries = 0; tries < slots; slot = (slot + 1) % slots, ++tries) {
    uint64_t empty = 0;
    if (stacks[slot].compare_exchange_strong(empty, hash)) first_of_stack[slot] = number;
    if (stacks[slot] == hash) break;
  }
  inside = false;
}

bool allocation_strikes() {
  const bool strike = strikes(alloc);
  if (active && counting) note_stack(counts[alloc]);
  return strike;
}

// ---- files
// -----------------------------------------------------------------------------------------------------------

constexpr int most_files = 4096;
std::array<std::atomic<int>, most_files> opened;  // by descriptor: the number of its open, or 0 where it is not ours
std::atomic<int> opens = 0;

int number_of(int descriptor) { return descriptor >= 0 && descriptor < most_files ? opened[descriptor].load() : 0; }

/// A line of the journal, and bytes behind it.
void tell(const char* line, const void* bytes = nullptr, size_t count = 0) {
  const iovec parts[] = {{const_cast<char*>(line), std::strlen(line)}, {const_cast<void*>(bytes), count}};
  syscall(SYS_writev, journal, parts, 2);
}
template <class... Args>
void tell_paths(const char* format, Args... args) {
  char line[8192];
  std::snprintf(line, sizeof line, format, args...);
  tell(line);
}

/// What every function that changes files does: killed before, in order with the journal, told after.
template <class Act, class Tell>
auto changed(bool ours, Act act, Tell told) {
  if (!active || !ours) return act();
  about_to_change();
  if (journal < 0) return act();
  pthread_mutex_lock(&order);
  const auto result = act();
  const int kept = errno;
  if (result >= 0) told(result);
  errno = kept;
  pthread_mutex_unlock(&order);
  return result;
}

int note_open(int descriptor, const char* path) {
  if (descriptor < 0 || descriptor >= most_files) return descriptor;
  opened[descriptor] = active && is_ours(path) ? ++opens : 0;
  return descriptor;
}

template <class Open>
int open_file(const char* path, int flags, Open act) {
  if (!active || !is_ours(path)) return note_open(act(), path);
  if (strikes(open_)) return -1;
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  const auto told = [&](int descriptor) {
    note_open(descriptor, path);
    tell_paths("open %d %d %s\n", number_of(descriptor), flags & (O_CREAT | O_TRUNC | O_APPEND), path);
  };
  if (!changes && journal < 0) return note_open(act(), path);
  const int descriptor = changed(changes || journal >= 0, act, told);
  return journal < 0 ? note_open(descriptor, path) : descriptor;
}

/// `at`: the place in the file, or -1 for the descriptor's own.
template <class Write>
ssize_t write_file(int descriptor, off_t at, const iovec* parts, int count, Write act) {
  const int number = number_of(descriptor);
  if (number > 0 && strikes(write_)) return -1;
  off_t begin = at;
  if (number > 0 && journal >= 0 && at < 0) begin = ::lseek(descriptor, 0, SEEK_CUR);
  return changed(number > 0, act, [&](ssize_t written) {
    size_t left = static_cast<size_t>(written);
    for (int i = 0; i < count && left > 0; ++i) {
      const size_t some = parts[i].iov_len < left ? parts[i].iov_len : left;
      char line[64];
      std::snprintf(line, sizeof line, "write %d %ld %zu\n", number, static_cast<long>(begin), some);
      tell(line, parts[i].iov_base, some);
      begin += static_cast<off_t>(some), left -= some;
    }
  });
}

void leak(int descriptor) {
  syscall(SYS_dup, descriptor);
  if (void* const page = __libc_malloc(4096); page != nullptr) std::memset(page, 1, 4096);
}

template <class Act>
int sync_file(int descriptor, Act act) {
  const int number = number_of(descriptor);
  if (number > 0 && leaks) leak(descriptor);
  if (number > 0 && strikes(fsync_)) return -1;
  const int result = changed(number > 0, act, [&](int) { tell_paths("sync %d\n", number); });
  if (number > 0 && stops) kill(getpid(), SIGSTOP);
  return result;
}

/// A function that takes one path and changes what is there.
template <class Act>
int change_path(const char* word, const char* path, Act act) {
  return changed(is_ours(path), act, [&](int) { tell_paths("%s %s\n", word, path); });
}

std::array<std::atomic<DIR*>, 64> listed;  // folders of ours that are open

// ---- beginning and end
// -----------------------------------------------------------------------------------------------

void begin() {
  const char* program = std::getenv("BOXCAM_FAULTS_PROGRAM");
  if (program == nullptr || std::strcmp(program, program_invocation_short_name) != 0) return;
  const auto text = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  folder = text("BOXCAM_FAULTS_FOLDER");
  origin = text("BOXCAM_FAULTS_ORIGIN");
  kill_at = std::atol(text("BOXCAM_FAULTS_KILL"));
  const char* fail = text("BOXCAM_FAULTS_FAIL");
  for (int kind = 0; kind < kinds; ++kind) {
    const size_t length = std::strlen(calls[kind].name);
    if (std::strncmp(fail, calls[kind].name, length) == 0 && fail[length] == ':') {
      failing = static_cast<Kind>(kind);
      fail_at = std::atol(fail + length + 1);
    }
  }
  if (const char* path = text("BOXCAM_FAULTS_JOURNAL"); path[0] != '\0')
    journal = static_cast<int>(
        syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  jumps = text("BOXCAM_FAULTS_CLOCK")[0] == '1';
  leaks = text("BOXCAM_FAULTS_LEAK")[0] == '1';
  stops = text("BOXCAM_FAULTS_STOP")[0] == '1';
  void* frames[4];
  backtrace(frames, 4);  // loads what it needs now
  counting = text("BOXCAM_FAULTS_COUNT")[0] != '\0';
  active = true;
}

void end() {
  if (!active) return;
  active = false;
  if (!counting) return;
  counting = false;
  const int file = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, std::getenv("BOXCAM_FAULTS_COUNT"), O_WRONLY | O_CREAT | O_TRUNC, 0644));
  for (int kind = 0; kind < kinds; ++kind) dprintf(file, "%s %ld\n", calls[kind].name, counts[kind].load());
  for (size_t slot = 0; slot < slots; ++slot)
    if (stacks[slot] != 0) dprintf(file, "stack %ld\n", first_of_stack[slot].load());
  syscall(SYS_close, file);
}

int (*program_main)(int, char**, char**) = nullptr;
int main_between(int argc, char** argv, char** environment) {
  begin();
  const int status = program_main(argc, argv, environment);
  end();
  return status;
}

}  // namespace

// ---- the functions that are replaced
// ---------------------------------------------------------------------------------

#pragma GCC visibility push(default)
extern "C" {

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  using Start = int (*)(int (*)(int, char**, char**), int, char**, void (*)(), void (*)(), void (*)(), void*);
  program_main = main;
  return reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"))(main_between, argc, argv, init, fini, rtld_fini,
                                                                        stack_end);
}

void* malloc(size_t size) { return allocation_strikes() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return allocation_strikes() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* block, size_t size) { return allocation_strikes() ? nullptr : __libc_realloc(block, size); }
void* memalign(size_t alignment, size_t size) {
  return allocation_strikes() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  void* const found = memalign(alignment, size);
  if (found == nullptr) return ENOMEM;
  *block = found;
  return 0;
}

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  REAL(open);
  return open_file(path, flags, [&] { return real(path, flags, mode); });
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open(path, flags, mode);
}
int close(int descriptor) {
  REAL(close);
  if (descriptor >= 0 && descriptor < most_files) opened[descriptor] = 0;
  return real(descriptor);
}

FILE* fopen(const char* path, const char* mode) {
  REAL(fopen);
  int flags = 0;
  if (mode[0] == 'w') flags = O_CREAT | O_TRUNC;
  if (mode[0] == 'a') flags = O_CREAT | O_APPEND;
  FILE* file = nullptr;
  const int descriptor = open_file(path, flags, [&] {
    file = real(path, mode);
    return file != nullptr ? fileno(file) : -1;
  });
  return descriptor >= 0 ? file : nullptr;
}
FILE* fopen64(const char* path, const char* mode) { return fopen(path, mode); }
int fclose(FILE* file) {
  REAL(fclose);
  const int descriptor = fileno(file);
  if (descriptor >= 0 && descriptor < most_files) opened[descriptor] = 0;
  return real(file);
}
size_t fread(void* to, size_t size, size_t count, FILE* file) {
  REAL(fread);
  if (number_of(fileno(file)) > 0 && strikes(read_)) return 0;
  return real(to, size, count, file);
}

ssize_t read(int descriptor, void* to, size_t count) {
  REAL(read);
  if (number_of(descriptor) > 0 && strikes(read_)) return -1;
  return real(descriptor, to, count);
}
ssize_t pread(int descriptor, void* to, size_t count, off_t at) {
  REAL(pread);
  if (number_of(descriptor) > 0 && strikes(read_)) return -1;
  return real(descriptor, to, count, at);
}
ssize_t pread64(int descriptor, void* to, size_t count, off_t at) { return pread(descriptor, to, count, at); }

ssize_t write(int descriptor, const void* from, size_t count) {
  REAL(write);
  const iovec part{const_cast<void*>(from), count};
  return write_file(descriptor, -1, &part, 1, [&] { return real(descriptor, from, count); });
}
ssize_t writev(int descriptor, const iovec* parts, int count) {
  REAL(writev);
  return write_file(descriptor, -1, parts, count, [&] { return real(descriptor, parts, count); });
}
ssize_t pwrite(int descriptor, const void* from, size_t count, off_t at) {
  REAL(pwrite);
  const iovec part{const_cast<void*>(from), count};
  return write_file(descriptor, at, &part, 1, [&] { return real(descriptor, from, count, at); });
}
ssize_t pwrite64(int descriptor, const void* from, size_t count, off_t at) {
  return pwrite(descriptor, from, count, at);
}

int fsync(int descriptor) {
  REAL(fsync);
  return sync_file(descriptor, [&] { return real(descriptor); });
}
int fdatasync(int descriptor) {
  REAL(fdatasync);
  return sync_file(descriptor, [&] { return real(descriptor); });
}

int rename(const char* from, const char* to) {
  REAL(rename);
  if (is_ours(to) && strikes(rename_)) return -1;
  return changed(
      is_ours(to), [&] { return real(from, to); }, [&](int) { tell_paths("rename %s\t%s\n", from, to); });
}
int unlink(const char* path) {
  REAL(unlink);
  return change_path("unlink", path, [&] { return real(path); });
}
int remove(const char* path) {
  REAL(remove);
  return change_path("unlink", path, [&] { return real(path); });
}
int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  if (is_ours(path) && strikes(folder_)) return -1;
  return change_path("mkdir", path, [&] { return real(path, mode); });
}

DIR* opendir(const char* path) {
  REAL(opendir);
  const bool ours = active && is_ours(path);
  if (ours && strikes(list_)) return nullptr;
  DIR* const folder_stream = real(path);
  for (auto& place : listed) {
    DIR* empty = nullptr;
    if (!ours || folder_stream == nullptr || place.compare_exchange_strong(empty, folder_stream)) break;
  }
  return folder_stream;
}
dirent* readdir(DIR* stream) {
  REAL(readdir);
  for (const auto& place : listed)
    if (place == stream && strikes(list_)) return nullptr;
  return real(stream);
}
dirent64* readdir64(DIR* stream) { return reinterpret_cast<dirent64*>(readdir(stream)); }
int closedir(DIR* stream) {
  REAL(closedir);
  for (auto& place : listed) {
    DIR* same = stream;
    place.compare_exchange_strong(same, nullptr);
  }
  return real(stream);
}

void* mmap(void* at, size_t length, int protection, int flags, int descriptor, off_t offset) {
  REAL(mmap);
  if (strikes(map)) return MAP_FAILED;
  return real(at, length, protection, flags, descriptor, offset);
}
void* mmap64(void* at, size_t length, int protection, int flags, int descriptor, off_t offset) {
  return mmap(at, length, protection, flags, descriptor, offset);
}
int pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  REAL(pthread_create);
  if (strikes(thread)) return EAGAIN;
  return real(made, attributes, start, argument);
}
int clock_gettime(clockid_t clock, timespec* time) {
  REAL(clock_gettime);
  const int status = real(clock, time);
  if (active && jumps && clock == CLOCK_REALTIME) time->tv_sec -= 3600 * ++looks;
  return status;
}
pid_t fork() {
  REAL(fork);
  if (strikes(fork_)) return -1;
  return real();
}

}  // extern "C"
#pragma GCC visibility pop
