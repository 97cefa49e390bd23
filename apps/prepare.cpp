// Packs a data set: decodes and resizes every image once, so that training reads them as they are.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <future>
#include <iostream>

#include "apps/common/data/data.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "engine/machine.h"
#include "nn/data/packed.h"

using namespace boxcam;

namespace {

struct Options {
  std::string output;
  DataOptions data;
};

/// Packs a split in its order, each processor decoding an image ahead. False when interrupted.
bool pack(PackedWriter& writer, const DataSplit& split, const DataOptions& o) {
  const Dataset& data = *split.data;
  std::cout << "packing     " << data.describe() << std::endl;
  writer.start_split(split.name, wanted_images(o, split.name) == 0 && split.skipped.empty());
  const auto make = [&](int64_t index) {
    Sample sample = data.load(index);
    if (o.augment != Preprocess::Augment::crop_flip) fit(sample, preprocess_of(o, false), false);
    return sample;
  };
  const auto processors = static_cast<size_t>(usable_processors());
  std::deque<std::future<Sample>> ahead;
  int64_t next = 0;
  ProgressBar bar(split.name, data.size());
  for (int64_t packed = 0; packed < data.size(); ++packed) {
    while (next < data.size() && ahead.size() < processors)
      ahead.push_back(std::async(std::launch::async, make, next++));
    writer.add(ahead.front().get());
    ahead.pop_front();
    bar.advance(1, "");
    if (interrupted()) break;
  }
  bar.clear();
  return !interrupted();
}

int run(Options& o, const OptionTable& table) {
  check(!o.output.empty(), "--output: expected a file name");
  check(!std::filesystem::exists(o.output), "--output: ", o.output,
        " exists already; choose another name, or remove it first");
  const std::vector<std::string> names = split_names(o.data);
  check(!names.empty(), "--data: ", o.data.data, " has no split train, validation or test with images in it");

  const std::vector<DataSplit> splits = open_splits(o.data, names);
  print_notes(std::cout, splits);
  catch_interrupts();
  PackedWriter writer(o.output, splits.front().data->classes(), packing_options(table, o.data));
  for (const DataSplit& split : splits)
    if (!pack(writer, split, o.data)) {
      std::cerr << "interrupted: nothing was written\n";
      return exit_status();
    }
  writer.finish();
  std::cout << "output      " << o.output << ", " << std::filesystem::file_size(o.output)
            << " bytes; use it with --data packed:" << o.output << "\n";
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app(
      "Packs a data set into one file for --data packed:FILE: all its splits, decoded and resized once. Training from "
      "it computes the same bits as from the data themselves with the same options.",
      "prepare");
  Options o;
  OptionTable table(app);
  table.required("--output", o.output, "the file to write; it must not exist");
  declare_data_set(table, o.data, {"train", "val", "test"}, "what to pack");
  declare_augment(table, o.data,
                  "crop-flip: keep the decoded images in full size, which --augment crop-flip of train needs; none, "
                  "flip: keep them resized");
  return run_app(app, argc, argv, [&] {
    take_class_names(table, o.data);
    check(data_kind(o.data).name() != "packed", "--data: ", o.data.data, " is packed already");
    settle_data_options(table, o.data);
    refuse_several_labels(table, o.data, "a packed file holds one label for each image, so multi-label has none yet");
    return run(o, table);
  });
}

}  // namespace

int main(int argc, char** argv) { return guarded("prepare", program, argc, argv); }
