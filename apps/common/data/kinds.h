// The kinds of data that --data can name: a new one is a file beside this one, and a row of the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/common/options/data.h"
#include "nn/data/dataset.h"

namespace boxcam {

struct DataKind {
  const char* form;  ///< "open-images:DIR"; what --data must begin with is the part before the colon
  const char* what;  ///< for help
  bool (*has_boxes)(const DataOptions& options) = nullptr;  ///< null: always; see data_have_boxes
  bool cached = true;                                       ///< whether decoded images are worth keeping in memory
  bool several_labels = false;  ///< whether an image's boxes may be of several classes, for --task multi-label
  bool image_files = false;     ///< whether images are files of their own, of which some may be missing or broken

  /// Choices of what to take of the data that mean nothing for them: refused where they are given.
  std::vector<const char*> ignores = {"--difficult"};

  /// The splits that the data have: "train", "validation", "test", and of some "out-of-context" beside "test".
  std::vector<std::string> (*splits)(const DataOptions& options);
  /// What else there is of the test pictures: splits that show them without their ground or without their objects, each
  /// of which `open` knows too.
  std::vector<std::string> variants = {};
  /// The named split. Throws Error where it does not exist.
  std::unique_ptr<Dataset> (*open)(const DataOptions& options, const std::string& split);
  /// Gives options that were not given what the data say, and refuses those that contradict them; may be null.
  void (*settle)(OptionTable& table, DataOptions& options) = nullptr;

  std::string name() const;  ///< what stands before the colon
};
const std::vector<DataKind>& data_kinds();
/// What stands before the colon in a value of --data: "open-images" of "open-images:DIR".
std::string kind_name(const std::string& data);
/// Throws Error naming the kinds.
const DataKind& data_kind(const DataOptions& options);

/// Whether neither the user nor a model file has named the classes, so that the data may.
bool classes_are_open(const OptionTable& table, const DataOptions& options);
/// Whether there may be boxes in the data.
bool data_have_boxes(const DataOptions& options);
/// What the readers of annotated images are asked for.
AnnotationOptions annotation_options(const DataOptions& options, const std::string& split);

/// What follows the colon in --data. Throws Error where there is nothing.
std::string data_place(const DataOptions& options);
/// How many images of a split --train-images, --val-images or --test-images ask for; 0: all.
int64_t wanted_images(const DataOptions& options, const std::string& split);
/// The options by name that decide what a sample is, and so what a packed file holds.
const std::vector<std::string>& sample_options();

}  // namespace boxcam
