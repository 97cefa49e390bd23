// Fetches data and weights from their public places.
#include <filesystem>
#include <iostream>

#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/download/addresses.h"
#include "apps/download/open_images.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"

using namespace boxcam;

namespace boxcam {

template <>
const Words<Absence>& words_of<Absence>() {
  static const Words<Absence> words = {{"boxes", Absence::boxes}, {"one", Absence::one}, {"every", Absence::every}};
  return words;
}

}  // namespace boxcam

namespace {

void declare_fetching(OptionTable& table, FetchOptions& o) {
  table.group("Servers");
  table.text("--base-url", o.base_url, "a mirror: stands for the scheme and host of every address");
  table.unrecorded();
  table.flag("--dry-run", o.dry_run, "say how many bytes and about how much time that is, and write nothing");
  table.unrecorded();
  table.whole("--jobs", o.transfers.jobs, between(1, 32), "files at once");
  table.unrecorded();
  table.whole("--attempts", o.transfers.attempts, between(1, 100), "of a file, as long as it does not get on");
  table.unrecorded();
  table.number("--back-off", o.transfers.back_off, between(0.001, 60),
               "seconds before the second attempt; doubled for each further one, and half of it left to chance");
  table.unrecorded();
  table.number("--stall", o.transfers.stall, between(1, 600),
               "seconds without movement after which an attempt has failed");
  table.unrecorded();
}

int open_images_command(int argc, char** argv) {
  CLI::App app(
      "Fetches the tables of OpenImages and the pictures of some classes into a folder for --data open-images:DIR. The "
      "same command goes on where it was stopped.",
      "download open-images");
  OpenImagesOptions o;
  AnnotationOptions& annotations = o.request.annotations;
  OptionTable table(app);
  table.required("--output", o.output, "the folder");
  table.group("Pictures");
  table.list("--classes", annotations.classes, "names, MIDs or aliases, comma-separated");
  table.list("--splits", o.splits, "of train, validation and test");
  table.whole("--train-images", o.train_images, at_least(0),
              "pictures of the training split, spread evenly over the classes; 0: all");
  table.whole("--val-images", o.val_images, at_least(0), "of the validation split");
  table.whole("--test-images", o.test_images, at_least(0), "of the test split");
  table.number("--none-share", o.request.none_share, between(0, 0.95), "the share of pictures of none of the classes");
  table.word("--absence", o.request.absence,
             "what a picture of none must have: no box of the classes; or besides people who looked for one of them at "
             "least, or for every one, and found none");
  table.whole("--data-seed", annotations.seed, "picks the pictures; a larger request takes more, never others");
  table.flag("--expand-children", annotations.expand_children, "boxes of subclasses count (Car also takes Van, ...)");
  table.text("--tables", o.tables, "where the whole tables lie, or are put (default: OUTPUT/tables)");
  table.unrecorded();
  declare_fetching(table, o.fetch);
  return run_app(app, argc, argv, [&] {
    table.refuse(o.splits.empty(), "--splits", "expected train, validation or test");
    for (const std::string& split : o.splits)
      table.refuse(!addresses().boxes.contains(split), "--splits",
                   str("unknown split '", split, "': expected train, validation or test"));
    return download_open_images(o, table);
  });
}

// ---- Weights ----

/// The digits in the name of torchvision's files begin their SHA-256.
void check_digest(const std::string& path, const std::string& name) {
  const std::string expected = name.substr(name.rfind('-') + 1, 8), found = sha256_of_file(path).substr(0, 8);
  check(found == expected, "its SHA-256 begins with ", found, ", expected the ", expected, " of its name");
}

std::string weights_url(const Addresses& at, const std::string& model, const std::string& version) {
  std::vector<std::string> known;
  for (const auto& [name, versions] : at.weights) known.push_back(name);
  const auto found = at.weights.find(model);
  check(found != at.weights.end(), "torchvision has no weights of '", model, "' that boxcam knows",
        did_you_mean(model, known));
  check(found->second.contains(version), "torchvision has no ", version, " of ", model, ", only v1");
  return found->second.at(version);
}

int fetch_weights(const std::string& url, const std::string& folder, const FetchOptions& o) {
  const std::string name = file_name(url), path = (std::filesystem::path(folder) / name).string();
  if (std::filesystem::exists(path)) {
    try {
      check_digest(path, name);
    } catch (const Error& e) {
      fail(path, " is there already, but ", e.what(), "; remove it first");
    }
    std::cout << path << " is there already, and whole\n";
    return 0;
  }
  if (o.dry_run) {
    const Probe found = probe(url, o.transfers);
    check(found.trouble.empty(), url, ": ", found.trouble);
    const auto bytes = static_cast<double>(found.bytes.value_or(0));
    std::cout << url << ": " << found.bytes.value_or(0) << " bytes, about "
              << duration(bytes / std::max(found.bytes_per_second, 1.0)) << "; nothing was written\n";
    return 0;
  }
  catch_interrupts();
  std::filesystem::create_directories(folder);
  const FolderLock lock(folder);
  check_alone(lock, folder);
  const std::vector<Transfer> files = {
      {url, path, uint64_t{4} << 30, true, [&](const std::string& partial) { check_digest(partial, name); }}};
  const std::vector<Missing> missing = fetch(files, o.transfers, "weights");
  if (interrupted()) {
    std::cerr << "interrupted: what is there of it is kept; the same command goes on from there\n";
    return exit_status();
  }
  if (!missing.empty()) {
    std::cerr << "download: the weights could not be had:\n";
    tell_missing(missing);
    return 1;
  }
  std::cout << "weights     " << path << ", SHA-256 as its name says; use them with --weights " << shell_word(path)
            << "\n";
  return 0;
}

int weights_command(int argc, char** argv) {
  CLI::App app("Fetches torchvision's ImageNet weights of a model, checked against the digest in the file's name.",
               "download weights");
  std::string model, folder = ".";
  bool v1 = false, v2 = false;
  FetchOptions o;
  app.add_option("MODEL", model, "as --model names it")->required();
  OptionTable table(app);
  table.flag("--v1", v1, "torchvision's first weights (the default)");
  table.flag("--v2", v2, "those of its newer recipe");
  table.text("--output", folder, "the folder to put them in");
  declare_fetching(table, o);
  return run_app(app, argc, argv, [&] {
    table.refuse(v1 && v2, "--v2", "is not --v1; choose one");
    return fetch_weights(weights_url(addresses(o.base_url), model, v2 ? "v2" : "v1"), folder, o);
  });
}

int program(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "open-images") return open_images_command(argc - 1, argv + 1);
  if (what == "weights") return weights_command(argc - 1, argv + 1);
  CLI::App app(
      "Fetches data and weights from their public places: download open-images --output DIR, download weights MODEL. "
      "Each has a --help of its own.",
      "download");
  return run_app(app, argc, argv,
                 [&]() -> int { fail("expected what to fetch: open-images or weights (see --help)"); });
}

}  // namespace

int main(int argc, char** argv) { return guarded("download", program, argc, argv); }
