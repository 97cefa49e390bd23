#include "apps/common/program.h"

#include <chrono>
#include <iostream>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/machine.h"
#include "engine/profile.h"

namespace boxcam {

namespace {

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

}  // namespace

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
  } catch (const Error& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; a smaller --batch or --image-size needs less\n";
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  }
  return 1;
}

}  // namespace boxcam
