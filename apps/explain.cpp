// Explains images: an overlay PNG of the CAM for each, or a sheet of them where several explainers stand side by side,
// and every intermediate as .npy with --dump.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <numeric>
#include <sstream>

#include "apps/common/class_names.h"
#include "apps/common/model.h"
#include "apps/common/overlays.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/data/labelled_images.h"
#include "nn/files/npy.h"
#include "nn/input.h"
#include "xai/cam_metrics.h"
#include "xai/multi_label.h"
#include "xai/overlay.h"

using namespace boxcam;
namespace fs = std::filesystem;

namespace {

/// What explain's images, which have no boxes, can be measured with.
const std::vector<CamMetric>& metrics_without_boxes() {
  static const std::vector<CamMetric> list = [] {
    std::vector<CamMetric> some = cam_metrics();
    std::erase_if(some, [](const CamMetric& metric) { return metric.boxes; });
    return some;
  }();
  return list;
}

struct Options {
  std::string checkpoint, class_name = "predicted", output, dump;
  std::vector<std::string> images;
  OverlaySize overlay_size = OverlaySize::photograph;
  DataOptions data;
  ModelOptions model;
  ExplainOptions explain;
  std::vector<const Explainer*> explainers = {&boxcam::explainers().front()};
  std::vector<const CamMetric*> metrics = {&cam_metric("drop")};
  RunOptions run;

  bool every_class() const { return class_name == "each"; }
  /// Where several maps stand side by side there is one picture for all images, and not one for each.
  bool draws_sheet() const { return explainers.size() > 1 || every_class(); }
  std::string sheet() const { return output + "/explainers.png"; }
};

/// What is made of every image: a map of each.
struct Wish {
  const Explainer* explainer;
  int64_t explained;  ///< a class; -1: the predicted one
};

constexpr int64_t kMostClasses = 16;  // side by side on a sheet

std::vector<Wish> wishes_of(const Options& o, const ClassNames& classes) {
  std::vector<int64_t> explained;
  if (o.every_class()) {
    check(classes.size() <= kMostClasses, "--class each: expected a model of at most ", kMostClasses,
          " classes, whose maps stand side by side; found ", classes.size(), " classes");
    explained.resize(static_cast<size_t>(classes.size()));
    std::iota(explained.begin(), explained.end(), int64_t{0});
  } else {
    explained = {o.class_name == "predicted" ? -1 : classes.find("--class", o.class_name)};
  }
  std::vector<Wish> wishes;
  for (const Explainer* explainer : o.explainers)
    for (const int64_t one : explained) wishes.push_back({explainer, one});
  return wishes;
}

/// An image, and what is written about it.
struct Job {
  std::string image, overlay, dump;  ///< files, and a folder; no dump: empty
};

/// What --image names: files as they are, the images of folders by name, and the lines of a list (FILE.txt).
std::vector<std::string> images_of(const std::vector<std::string>& places) {
  std::vector<std::string> images;
  for (const std::string& place : places) {
    if (fs::is_directory(place)) {
      std::vector<std::string> inside;
      for (const auto& entry : fs::directory_iterator(place))
        if (is_image_file(entry)) inside.push_back(entry.path().string());
      check(!inside.empty(), "--image: the folder ", place, " holds no JPEG or PNG files");
      std::sort(inside.begin(), inside.end());
      images.insert(images.end(), inside.begin(), inside.end());
    } else if (lower(fs::path(place).extension().string()) == ".txt") {
      std::istringstream list(read_file(place, "the list of images"));
      for (std::string line; std::getline(list, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!line.empty()) images.push_back(line);
      }
    } else {
      images.push_back(place);
    }
  }
  check(!images.empty(), "--image: ", join(places), " names no image");
  return images;
}

/// Every output has a name of its own, and nothing that is there already is written over: not the images, nor what
/// another run left. A name is the image's without extension, or with it where two differ by the extension alone.
std::vector<Job> plan(const Options& o) {
  const std::vector<std::string> images = images_of(o.images);
  std::map<std::string, int> same_stem;
  for (const std::string& image : images) ++same_stem[fs::path(image).stem().string()];
  std::map<std::string, std::string> image_of;
  std::vector<Job> jobs;
  for (const std::string& image : images) {
    const fs::path path(image);
    const std::string name = (same_stem[path.stem().string()] > 1 ? path.filename() : path.stem()).string();
    const auto [other, is_new] = image_of.emplace(name, image);
    check(is_new, "--image: the overlays of ", other->second, " and ", image, " would both be called ", name, ".png");
    Job job{image, o.draws_sheet() ? o.sheet() : o.output + "/" + name + ".png", ""};
    if (!o.dump.empty()) job.dump = images.size() == 1 ? o.dump : o.dump + "/" + name;
    check(!fs::exists(fs::symlink_status(job.overlay)), "--output: ", job.overlay,
          " exists already; choose another folder, or remove it first");
    check(job.dump.empty() || !fs::exists(job.dump) || (fs::is_directory(job.dump) && fs::is_empty(job.dump)),
          "--dump: ", job.dump, " exists already and is not an empty folder; choose another one");
    jobs.push_back(job);
  }
  return jobs;
}

void make_folder(const std::string& option, const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, option, ": cannot make the folder ", path, ": ", error.message());
}

std::string percent_of(const std::string& name, double probability) {
  char text[16];
  std::snprintf(text, sizeof text, " %.2f %%", 100 * probability);
  return name + text;
}

/// "tabby 61.20 %, Egyptian cat 20.11 %, ...": the most probable five.
std::string top_five(const Tensor& logits, const ClassNames& classes, Task task) {
  const auto scores = class_probabilities(logits, task);
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  std::vector<std::string> best;
  for (size_t i = 0; i < std::min<size_t>(order.size(), 5); ++i)
    best.push_back(percent_of(classes[static_cast<int64_t>(order[i])], scores[order[i]]));
  return join(best);
}

/// Explainers without weights have no alpha.
void dump(const std::string& folder, const ImageExplanation& e, const std::vector<std::string>& taps) {
  make_folder("--dump", folder);
  write_npy(folder + "/logits.npy", e.logits);
  write_npy(folder + "/cam.npy", e.explanation.cam.detach());
  const auto write = [&](const std::string& name, const std::vector<Tensor>& of_taps) {
    for (size_t i = 0; i < of_taps.size(); ++i)
      write_npy(folder + "/" + name + (of_taps.size() == 1 ? "" : "." + taps[i]) + ".npy", of_taps[i].detach());
  };
  write("activations", e.activations);
  write("alpha", e.explanation.alpha);
  write("cam_raw", e.explanation.raw);
}

/// An image as it is and as the network sees it.
struct Picture {
  ImageHeader header;
  Image photograph;
  Sample sample;
};

Picture open_picture(const std::string& path, const Preprocess& preprocess) {
  // As viewers show it, and as OpenCV, and so pytorch-grad-cam, reads it.
  Picture p{inspect_image(path), {}, {}};
  p.photograph = turned(read_image(path), p.header.orientation);
  p.sample.image = p.photograph;
  p.sample = prepare(std::move(p.sample), preprocess, nullptr);
  return p;
}

bool is_empty(const Tensor& cam) {
  const auto heat = cam.to_vector();
  return std::all_of(heat.begin(), heat.end(), [](double value) { return value <= 0; });
}

/// "grad-cam of ship", and whether it is empty; of several, which of them are.
std::string said_of(const std::vector<ImageExplanation>& each, const std::vector<Wish>& wishes,
                    const ClassNames& classes, const Options& o) {
  std::vector<std::string> names, explained, empty;
  for (size_t i = 0; i < each.size(); ++i) {
    const std::string name = wishes[i].explainer->name, label = classes[each[i].explained];
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (i < each.size() / o.explainers.size()) explained.push_back(label);
    if (is_empty(each[i].explanation.cam)) empty.push_back(o.every_class() ? name + " of " + label : name);
  }
  const std::string all = join(names) + " of " + join(explained);
  if (empty.empty()) return all;
  return all + (o.draws_sheet() ? " (empty: " + join(empty) + ")" : ", which is empty,");
}

void report(const Job& job, const ImageHeader& header, const std::vector<ImageExplanation>& each,
            const std::vector<Wish>& wishes, const ClassNames& classes, const Options& o) {
  const ImageExplanation& e = each[0];
  std::cout << job.image << ": "
            << (o.class_name == "predicted" ? top_five(e.logits, classes, o.data.task)
                                            : percent_of(classes[e.predicted], e.score))
            << "; " << said_of(each, wishes, classes, o) << " -> " << job.overlay
            << (header.orientation == 1 ? "" : str(" (turned, as its EXIF orientation ", header.orientation, " says)"))
            << (header.note.empty() ? "" : "; note: " + header.note) << std::endl;
}

/// "drop 0.12 inc 0.00", two on a line: a tile is not wider.
std::string scores_of(const ImageExplanation& e, const Image& image, Classifier& model, const Options& o) {
  const NoGrad no_grad;
  MetricPictures pictures;
  pictures.x = input_tensor(image, model.device());
  pictures.classes = {static_cast<int32_t>(e.explained)};
  pictures.scores = {class_probabilities(e.logits, o.data.task)[static_cast<size_t>(e.explained)]};
  pictures.indices = {0};
  pictures.logits = [&model](const Tensor& shown) { return model.forward(shown, ForwardOptions::observing()).logits; };
  if (o.data.task == Task::multi_label) {  // the sigmoid of y is the softmax of (y, 0)
    std::vector<double> chosen(static_cast<size_t>(2 * e.logits.dim(1)), 0);
    chosen[static_cast<size_t>(2 * e.explained)] = 1;
    pictures.classes = {0};
    const Tensor beside = Tensor::from({e.logits.dim(1), 2}, chosen).to(e.logits.dtype()).to(e.logits.device());
    pictures.logits = [logits = pictures.logits, beside](const Tensor& shown) { return matmul(logits(shown), beside); };
  }
  MetricGround ground(Tensor::zeros({1, image.height, image.width}), pictures);
  std::vector<std::string> lines;
  for (size_t i = 0; i < o.metrics.size(); i += 2) {
    const auto begin = o.metrics.begin() + static_cast<std::ptrdiff_t>(i);
    lines.push_back(metric_caption({begin, begin + std::min<std::ptrdiff_t>(2, o.metrics.end() - begin)},
                                   e.explanation.cam, ground));
  }
  return join(lines, "\n");
}

/// Writes the overlay of the one map, or gives a row of the sheet: a tile of each of several.
std::vector<Image> explain_one(const Job& job, Classifier& model, const std::vector<Wish>& wishes,
                               const ClassNames& classes, const Options& o) {
  const Preprocess preprocess = preprocess_of(o.data, false);
  const Picture picture = open_picture(job.image, preprocess);
  std::vector<Image> tiles;
  std::vector<ImageExplanation> each;
  for (const auto& [explainer, explained] : wishes) {
    ExplainOptions options = o.explain;
    options.cam.explainer = explainer;
    each.push_back(explain_image(model, picture.sample.image, explained, options, o.data.task));
    const ImageExplanation& e = each.back();
    if (o.draws_sheet())
      tiles.push_back(overlay_picture(
          picture.sample, e, classes, false,
          str(explainer->name, " of ", classes[e.explained], "\n", scores_of(e, picture.sample.image, model, o))));
    else
      write_png(job.overlay, o.overlay_size == OverlaySize::photograph
                                 ? photograph_overlay(picture.photograph, e.explanation.cam, preprocess)
                                 : overlay_picture(picture.sample, e, classes, false));
    if (job.dump.empty()) continue;
    std::string folder = job.dump;
    if (o.draws_sheet()) folder += str("/", explainer->name);
    if (o.every_class()) folder += str("/", e.explained);
    dump(folder, e, o.explain.taps);
  }
  report(job, picture.header, each, wishes, classes, o);
  return tiles;
}

int run(OptionTable& table, Options& o) {
  const ModelCard card = read_card(o.checkpoint);
  table.refuse(table.typed("--classes") && !o.data.class_names.empty(), "--class-names",
               "names the classes that --classes names too");
  if (!o.data.class_names.empty()) o.data.classes = read_class_names(o.data.class_names);
  table.refuse(o.draws_sheet() && table.typed("--overlay-size") && o.overlay_size == OverlaySize::photograph,
               "--overlay-size", "photograph does not go with several maps: a sheet shows the network's input");
  table.refuse(!o.draws_sheet() && table.typed("--metrics"), "--metrics",
               "is written beneath the maps of a sheet, which takes several explainers or --class each");
  const bool named = table.given("--classes") || !o.data.class_names.empty();
  const std::vector<std::string> given = named ? o.data.classes : std::vector<std::string>();
  const std::string note = adopt(card, Adopt::everything, table, o.data);
  if (!note.empty()) std::cout << note << "\n";
  check_network(card, Adopt::everything, table);

  apply(o.run);
  catch_interrupts();
  const std::vector<Job> jobs = plan(o);
  const auto [model, report, digest] = load_model(o.checkpoint, o.model.model);
  if (!report.empty()) std::cout << report << "\n";
  const ClassNames classes = names_of_outputs(card, given, model->classes());
  place(*model, o.run);
  settle_taps(o.explain, *model);
  if (const std::string differing = summary(overrides(card, table)); !differing.empty()) std::cout << differing << "\n";
  const std::vector<Wish> wishes = wishes_of(o, classes);
  make_folder("--output", o.output);

  int status = 0;
  std::vector<Image> tiles;
  for (const Job& job : jobs) {
    if (interrupted()) break;
    try {
      for (Image& tile : explain_one(job, *model, wishes, classes, o)) tiles.push_back(std::move(tile));
    } catch (const Error& e) {  // the others are not to suffer for it
      std::cerr << "explain: " << e.what() << "\n";
      status = 1;
    }
  }
  if (!tiles.empty()) write_png(o.sheet(), sheet(tiles, static_cast<int>(wishes.size()), ""));
  return interrupted() ? exit_status() : status;
}

int program(int argc, char** argv) {
  CLI::App app("Explains images with Grad-CAM, or another explainer: an overlay PNG for each.", "explain");
  Options o;
  OptionTable table(app);
  table.required("--checkpoint", o.checkpoint, "the model: best.safetensors of a run, or a .pth");
  table.required("--image", o.images, "JPEG or PNG files, folders of them, or lists: FILE.txt, a path a line");
  table.text(
      "--class", o.class_name,
      "the class to explain, by name or number, or 'predicted', or 'each' for a sheet of all of them (of a signed "
      "split's evidence: --class each --explainer hires-cam --cam-target logit)");
  table.required(
      "--output", o.output,
      "folder for the overlays, or for explainers.png, a sheet of several maps of each image; nothing in it is written "
      "over");
  table.word("--overlay-size", o.overlay_size,
             "the heat map over the photograph in its own size, or over the network's square input, with a caption");
  table.text("--dump", o.dump,
             "folder for logits, activations, alpha, cam_raw and cam as .npy (of several taps: alpha.TAP.npy ...; of "
             "several explainers or classes a folder for each)");
  declare_task(table, o.data);
  declare_classes(table, o.data);
  declare_size(table, o.data);
  declare_model(table, o.model);
  declare_explanations(table, o.explain, o.explainers);
  declare_ablation(table, o.explain);
  table.rows("--metrics", o.metrics, metrics_without_boxes(),
             "what is written beneath the maps of a sheet: metrics that need no boxes, comma-separated");
  declare_cpu(table, o.run);
  declare_device(table, o.run);
  return run_app(app, argc, argv, [&] { return run(table, o); });
}

}  // namespace

int main(int argc, char** argv) { return guarded("explain", program, argc, argv); }
