#include "apps/common/program.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/machine.h"
#include "engine/profile.h"

namespace boxcam {

namespace {

constexpr const char* kOutOfMemory = "out of memory; a smaller --batch or --image-size needs less";

// Of the program: set by start_profile, written by run_app.
std::string profile_file;
std::chrono::steady_clock::time_point profile_begin;

void write_profile() {
  if (profile_file.empty()) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - profile_begin;
  write_file(profile_file, {profile_table(seconds.count())});
}

std::string version_text() {
  const std::string cuda = cuda_version() == "none" ? "without CUDA" : "CUDA " + cuda_version();
  return str("boxcam ", version(), " (", build_commit(), "), oneDNN ", onednn_version(), ", ", cuda, ", ",
             processor_name(), ", ", usable_processors(), " processors");
}

// For the end of a program that nothing else can end well: it allocates nothing.
const char* program_name = "boxcam";

void say(const char* sentence) {
  for (const char* part : {program_name, ": ", sentence, "\n"})
    if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) return;
}

/// Says what the exception is that is being handled.
void say_current_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    say(kOutOfMemory);
  } catch (const std::exception& e) {
    say(e.what());
  } catch (...) {
    say("an error of an unknown kind");
  }
}

[[noreturn]] void on_terminate() {
  // A function that may not throw, and has something to clean up, has let go of the exception by now.
  if (std::current_exception())
    say_current_exception();
  else
    say("an error could not be handled where it arose, most likely because memory ended");
  ::_exit(1);
}

}  // namespace

std::string sentence_of(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) ? kOutOfMemory : error.what();
}

int guarded(const char* program, int (*body)(int, char**), int argc, char** argv) {
  program_name = program;
  std::set_terminate(on_terminate);
  try {
    return body(argc, argv);
  } catch (...) {
    say_current_exception();
    return 1;
  }
}

const char* version() { return BOXCAM_VERSION; }
const char* build_flags() { return BOXCAM_BUILD_FLAGS; }

void start_profile(const std::string& file) {
  profile_file = file;
  check_new_file("--profile", profile_file);  // now, not at the end
  profile_begin = std::chrono::steady_clock::now();
  set_profiling(true);
}

int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", version_text);
  try {
    app.parse(argc, argv);
    const int status = body();
    write_profile();
    return status;
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    if (app.remaining().empty()) {
      std::cerr << app.get_name() << ": " << e.what() << "\n";
      return 2;
    }
    // A mistyped option first: it is also why a required one is missing.
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    const std::string word = app.remaining()[0].substr(0, app.remaining()[0].find('='));
    std::cerr << app.get_name() << ": unknown option " << word << did_you_mean(word, known) << " (see --help)\n";
    return 2;
  }
}

}  // namespace boxcam
