#include "apps/common/options/data.h"

#include "apps/common/data/kinds.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

void declare_data(OptionTable& table, DataOptions& o, const std::string& help) {
  std::vector<std::string> kinds;
  for (const DataKind& kind : data_kinds()) kinds.push_back(str(kind.form, " (", kind.what, ")"));
  table.group("Data");
  table.text("--data", o.data, help + ": " + join(kinds));
}

void declare_count(OptionTable& table, DataOptions& o, const std::string& split) {
  const bool train = split == "train", val = split == "val";
  int64_t& field = train ? o.train_images : val ? o.val_images : o.test_images;
  table.group("Data");
  table.whole("--" + split + "-images", field, at_least(0),
              str("images of the ",
                  train ? "training"
                  : val ? "validation"
                        : "test",
                  " split; 0: all (scenes: ", train ? 2000 : 500, ")"));
}

void declare_choice_of_images(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.whole("--data-seed", o.data_seed, "picks the subset, or draws the scenes");
  table.word("--group-of", o.group_of, "boxes around a group of objects (OpenImages' IsGroupOf, COCO's iscrowd)");
  table.word("--difficult", o.difficult, "VOC: boxes of objects that are marked as difficult");
  table.word("--several-classes", o.several_classes,
             "images with several of the classes: the class of the largest box, or left out");
  table.flag("--expand-children", o.expand_children, "boxes of subclasses count (Car also takes Van, ...)");
  table.list("--sources", o.sources, "only images of these sources (OpenImages: SourceSet), comma-separated");
  table.word("--none-class", o.none_class,
             "whether images of none of the classes are an output of their own, or left out; auto: an output where the "
             "training split has such images");
  table.word("--missing-images", o.missing_images,
             "when images are missing or broken: stop before anything is computed, or leave them out (at most 1 % of a "
             "split, but always one)");
  table.number("--context-correlation", o.context_correlation, between(0, 1),
               "scenes: the share of objects in their usual context (1: every ship on water)");
  table.word(
      "--scenes-level", o.scenes_level,
      "scenes: hard ones have small objects, in part hidden, among things of the same colours, and when training "
      "nearer the centre than in the test");
}

}  // namespace

void declare_data_set(OptionTable& table, DataOptions& o, const std::vector<std::string>& counts,
                      const std::string& help) {
  declare_data(table, o, help);
  declare_task(table, o);
  declare_classes(table, o);
  for (const std::string& split : counts) declare_count(table, o, split);
  declare_choice_of_images(table, o);
  declare_size(table, o);
}

void declare_task(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.word("--task", o.task,
             "one class for each image (softmax), or any number of them, each by itself (sigmoid; scenes, open-images, "
             "voc, coco, csv): boxes and CAM are then of each pair of an image and a class that it shows, accuracy is "
             "mean average precision, and 'none' no output");
}

void declare_classes(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.list("--classes", o.classes,
             "names, MIDs or aliases, comma-separated; 'none' need not be named and is the last output");
  table.text("--class-names", o.class_names, "a file that names them instead, one a line");
  table.unrecorded();  // it becomes --classes
}

void declare_size(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.whole("--image-size", o.image_size, between(32, 1024), "side of the network's square input, in pixels");
  table.word("--resize", o.resize,
             "both sides to the input's size (boxes stay exact), or shorter side and centre crop");
}

void declare_batch(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.whole("--batch", o.batch, between(1, 4096), "images in a batch");
}

void declare_background_variants(OptionTable& table, DataOptions& o) {
  table.group("Data");
  table.flag(
      "--background-variants", o.background_variants,
      "test also what is left of the pictures without their ground or without their objects, and their objects on "
      "other grounds (scenes; after ImageNet-9)");
}

void declare_loader(OptionTable& table, DataOptions& o) {
  table.group("Machine");
  table.whole("--loader-threads", o.loader_threads, between(0, 1024),
              "threads that read and decode images; 0: as the machine and the device need; changes no number");
  table.unrecorded();
}

void declare_augment(OptionTable& table, DataOptions& o, const std::string& help) {
  table.group("Data");
  table.word("--augment", o.augment, help);
}

}  // namespace boxcam
