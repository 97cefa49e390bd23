// Explains images: an overlay PNG of Grad-CAM for each, and every intermediate as .npy with --dump.
#include <filesystem>
#include <iostream>
#include <set>

#include "apps/common/model.h"
#include "apps/common/overlays.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "engine/base/text.h"
#include "nn/files/npy.h"

using namespace boxcam;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string checkpoint, class_name = "predicted", output, dump;
  std::vector<std::string> images;
  DataOptions data;
  ModelOptions model;
  ExplainOptions explain;
  RunOptions run;
};

void make_folder(const std::string& option, const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, option, ": cannot make the folder ", path, ": ", error.message());
}

/// --classes, and "none" where the model has one output more.
std::vector<std::string> class_names(const Options& o, int64_t outputs) {
  std::vector<std::string> names = o.data.classes;
  const auto given = static_cast<int64_t>(names.size());
  check(outputs == given || outputs == given + 1, "--classes: ", o.checkpoint, " has ", outputs,
        " classes, found names for ", given, " (", join(names, ","), "); 'none' need not be named");
  if (outputs > given) names.push_back("none");
  return names;
}

int run(Options o) {
  apply(o.run);
  catch_interrupts();
  const auto model = load_model(o.checkpoint, o.model.model, 0);
  const std::vector<std::string> classes = class_names(o, model->classes());
  place(*model, o.run);
  settle_taps(o.explain, *model);
  int64_t explained = -1;
  if (o.class_name != "predicted") {
    const auto found = std::find(classes.begin(), classes.end(), o.class_name);
    check(found != classes.end(), "--class: '", o.class_name, "' is not one of predicted, ", join(classes),
          did_you_mean(o.class_name, classes));
    explained = found - classes.begin();
  }
  std::set<std::string> stems;
  for (const std::string& path : o.images)
    check(stems.insert(fs::path(path).stem().string()).second, "--image: two images are named ",
          fs::path(path).stem().string(), ", and their overlays would overwrite each other");
  make_folder("--output", o.output);

  for (const std::string& path : o.images) {
    if (interrupted()) return 130;
    const std::string stem = fs::path(path).stem().string();
    Sample sample;
    sample.image = read_image(path);
    sample = prepare(std::move(sample), preprocess_of(o.data, false), nullptr);
    const ImageExplanation e = explain_image(*model, sample.image, explained, o.explain);
    const std::string file = o.output + "/" + stem + ".png";
    write_png(file, overlay_picture(sample, e, classes, false));
    std::cout << path << ": " << classes[e.predicted] << " " << 100 * e.score << " %, Grad-CAM of "
              << classes[e.explained] << " -> " << file << "\n";
    if (o.dump.empty()) continue;
    const std::string folder = o.images.size() == 1 ? o.dump : o.dump + "/" + stem;
    make_folder("--dump", folder);
    write_npy(folder + "/logits.npy", e.logits);
    write_npy(folder + "/cam.npy", e.explanation.cam.detach());
    for (size_t i = 0; i < o.explain.taps.size(); ++i) {
      const std::string end = o.explain.taps.size() == 1 ? ".npy" : "." + o.explain.taps[i] + ".npy";
      write_npy(folder + "/activations" + end, e.activations[i]);
      write_npy(folder + "/alpha" + end, e.explanation.alpha[i].detach());
      write_npy(folder + "/cam_raw" + end, e.explanation.raw[i].detach());
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Explains images with Grad-CAM: an overlay PNG for each.", "explain");
  Options o;
  OptionTable table(app);
  table.required("--checkpoint", o.checkpoint, "the model: best.safetensors of a run, or a .pth");
  table.required("--image", o.images, "one or more JPEG or PNG files");
  table.text("--class", o.class_name, "the class to explain, or 'predicted'");
  table.required("--output", o.output, "folder for the overlays");
  table.text("--dump", o.dump,
             "folder for logits, activations, alpha, cam_raw and cam as .npy (of several taps: alpha.TAP.npy ...)");
  declare_classes(table, o.data);
  declare_size(table, o.data);
  declare_model(table, o.model);
  declare_explanation(table, o.explain);
  declare_cpu(table, o.run);
  declare_device(table, o.run);
  return run_app(app, argc, argv, [&] { return run(o); });
}
