// Options of the images: where they come from, how many, what of them is taken, how they reach the network.
#pragma once

#include "apps/common/options/table.h"
#include "nn/data/annotated_images.h"
#include "nn/data/image.h"
#include "nn/data/scenes/scenes.h"

namespace boxcam {

/// What to do when an image of the data is missing or broken: refuse the data, or leave it out.
enum class MissingImages { error, skip };

struct DataOptions {
  std::string data = "scenes";
  Task task = Task::single_label;
  std::vector<std::string> classes = {"plane", "ship", "car"};
  std::string class_names;                                    ///< a file that names the classes instead
  int64_t train_images = 0, val_images = 0, test_images = 0;  ///< 0: all (scenes: 2000, 500, 500)
  uint64_t data_seed = 0;
  int image_size = 224;
  int64_t batch = 16;
  Preprocess::Resize resize = Preprocess::Resize::squash;
  Preprocess::Augment augment = Preprocess::Augment::none;
  AnnotationOptions::GroupOf group_of = AnnotationOptions::GroupOf::keep;
  AnnotationOptions::Difficult difficult = AnnotationOptions::Difficult::keep;
  AnnotationOptions::SeveralClasses several_classes = AnnotationOptions::SeveralClasses::largest;
  bool expand_children = false;
  std::vector<std::string> sources;
  NoneClass none_class = NoneClass::automatic;  ///< open_splits settles it
  MissingImages missing_images = MissingImages::error;
  double context_correlation = 1;
  SceneLevel scenes_level = SceneLevel::plain;
  bool background_variants = false;
  int loader_threads = 0;    ///< 0: settle_loader decides
  int64_t loader_cache = 0;  ///< bytes; no option: settled
  bool fitted = false;       ///< the data hold images of image_size already (packed); no option: settled
};

/// --data, of which `help` says what it is for, and what is taken of it: --task, classes, how many images of the splits
/// in `counts` ("train", "val", "test"), the subset, and the size they get.
void declare_data_set(OptionTable& table, DataOptions& options, const std::vector<std::string>& counts,
                      const std::string& help = "what to use");

// Each declares a part, for the programs in which it acts.
void declare_task(OptionTable& table, DataOptions& options);
void declare_classes(OptionTable& table, DataOptions& options);
/// --image-size and --resize.
void declare_size(OptionTable& table, DataOptions& options);
void declare_batch(OptionTable& table, DataOptions& options);
/// --background-variants.
void declare_background_variants(OptionTable& table, DataOptions& options);
/// --loader-threads.
void declare_loader(OptionTable& table, DataOptions& options);
void declare_augment(OptionTable& table, DataOptions& options, const std::string& help);

}  // namespace boxcam
