#include "apps/experiment/runner.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iostream>
#include <thread>

#include "apps/common/progress.h"
#include "apps/common/report/report.h"
#include "apps/common/run_folder.h"
#include "engine/base/durable.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace boxcam {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

struct Running {
  const PlannedRun* run;
  pid_t process;
  Clock::time_point begin;
};

std::string log_of(const PlannedRun& run) { return run.folder + ".log"; }

/// In a child between fork and exec only what is safe there: no allocation.
[[noreturn]] void become(char* const* arguments, int log, pid_t parent) {
  // A group of its own, so that Ctrl-C reaches it through this program alone, once: train takes a second one for
  // "now". If this program dies, train stops and saves.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::signal(SIGTERM, SIG_DFL);
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

Running start(const PlannedRun& run, const std::string& train) {
  std::error_code error;
  std::vector<std::string> words = {train};
  if (state_of(run) == RunState::begun) {
    words.emplace_back("--resume");
  } else {
    RunFolder::clear_unbegun(run.folder);
    words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  }
  words.insert(words.end(), {"--output", run.folder});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  fs::create_directories(fs::path(run.folder).parent_path(), error);
  const int log = open_to_write(log_of(run), O_APPEND);
  check(log >= 0, "cannot write ", log_of(run), ": ", std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  const int why = errno;
  if (process == 0) become(arguments.data(), log, parent);
  ::close(log);
  check(process > 0, "cannot start ", train, ": ", std::strerror(why));
  return {&run, process, Clock::now()};
}

/// The last line of a run's log that says something: how it ended.
std::string last_line(const PlannedRun& run, int status) {
  std::string text, last;
  try {
    text = read_file(log_of(run));
  } catch (const Error&) {
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) last = text.substr(begin, end - begin);
    begin = end + 1;
  }
  if (WIFSIGNALED(status)) return str("ended by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ")");
  return last.starts_with("train: ") ? last.substr(7) : last.empty() ? "ended without a word" : last;
}

std::string minutes(Clock::duration time) { return duration(std::chrono::duration<double>(time).count()); }

class Runner {
 public:
  Runner(const Study& study, const std::vector<PlannedRun>& runs, const RunnerOptions& options)
      : study_(study), options_(options) {
    for (const PlannedRun& run : runs)
      if (state_of(run) != RunState::finished)
        waiting_.push_back(&run);
      else
        complete(run);
    all_ = runs.size();
    done_ = all_ - waiting_.size();
    if (done_ > 0) std::cout << done_ << " of " << all_ << " runs are finished already\n" << std::flush;
  }

  std::vector<Failure> operator()() {
    while (!running_.empty() || (!waiting_.empty() && !interrupted())) {
      if (interrupted()) stop();
      if (!start_next()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      collect();
    }
    return failures_;
  }

 private:
  /// Makes the page of a finished run that was ended just before it.
  static void complete(const PlannedRun& run) {
    std::error_code error;
    if (fs::exists(run.folder + "/pictures", error) && !fs::exists(run.folder + "/report.html", error))
      write_run_page(run.folder);
  }

  std::string name(const PlannedRun& run) const { return str(study_.rows[run.row].name, ", seed ", run.seed); }

  void tell(const PlannedRun& run, const std::string& what) const {
    std::cout << "[" << done_ << "/" << all_ << "] " << name(run) << ": " << what << std::endl;
  }

  /// False where nothing can be started now.
  bool start_next() {
    if (interrupted() || static_cast<int64_t>(running_.size()) >= options_.jobs) return false;
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
      const PlannedRun& run = **at;
      const RunState state = state_of(run);
      if (state == RunState::running) continue;
      waiting_.erase(at);
      if (state == RunState::finished) {
        ++done_;
        tell(run, "made by another process");
      } else {
        tell(run, state == RunState::begun ? "goes on" : "begins");
        running_.push_back(start(run, options_.train));
      }
      return true;
    }
    if (running_.empty() && !said_waiting_ && !waiting_.empty()) {
      said_waiting_ = true;
      std::cout << "waiting for " << waiting_.size() << " runs that other processes make" << std::endl;
    }
    return false;
  }

  void collect() {
    for (auto at = running_.begin(); at != running_.end();) {
      int status = 0;
      if (::waitpid(at->process, &status, WNOHANG) != at->process) {
        ++at;
        continue;
      }
      const Running ended = *at;
      at = running_.erase(at);
      conclude(ended, status);
    }
  }

  void conclude(const Running& ended, int status) {
    const PlannedRun& run = *ended.run;
    const RunState state = state_of(run);
    if (state == RunState::finished) {
      ++done_;
      taken_ += Clock::now() - ended.begin;
      ++made_;
      const size_t left = waiting_.size() + running_.size();
      tell(run, str("finished in ", minutes(Clock::now() - ended.begin),
                    left == 0 ? ""
                              : str("; ", left, " left, about ",
                                    minutes(taken_ / made_ * static_cast<int64_t>(left) / options_.jobs))));
    } else if (state == RunState::running || last_line(run, status).find(kFolderIsTaken) != std::string::npos) {
      waiting_.push_back(&run);  // two processes began it at once, and the other one had it first
    } else if (!interrupted()) {
      failures_.push_back({&run, last_line(run, status)});
      tell(run, str("failed: ", failures_.back().sentence, " (see ", log_of(run), ")"));
    }
  }

  void stop() {
    if (stopped_) return;
    stopped_ = true;
    std::cerr << "interrupted: " << running_.size() << " runs save and stop; the same command goes on\n";
    for (const Running& one : running_) ::kill(one.process, SIGTERM);
  }

  const Study& study_;
  const RunnerOptions options_;
  std::deque<const PlannedRun*> waiting_;
  std::vector<Running> running_;
  std::vector<Failure> failures_;
  size_t all_ = 0, done_ = 0;
  int64_t made_ = 0;
  Clock::duration taken_{};
  bool stopped_ = false, said_waiting_ = false;
};

}  // namespace

RunState state_of(const PlannedRun& run) {
  std::error_code error;
  if (!fs::exists(run.folder, error)) return RunState::missing;
  // The lock first: while it is free nobody can finish the run.
  if (RunFolder::is_locked(run.folder)) return RunState::running;
  if (fs::exists(run.folder + "/test.json", error)) return RunState::finished;
  return fs::exists(run.folder + "/checkpoint.safetensors", error) ? RunState::begun : RunState::missing;
}

std::vector<Failure> make_runs(const Study& study, const std::vector<PlannedRun>& runs, const RunnerOptions& options) {
  return Runner(study, runs, options)();
}

std::string train_program() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* name : {"train", "boxcam-train"})
    if (!error && ::access((here / name).c_str(), X_OK) == 0) return (here / name).string();
  fail("there is no train beside this program, in ", here.string());
}

}  // namespace boxcam
