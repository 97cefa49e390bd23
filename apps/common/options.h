// Command-line options: one spelling, one meaning, the same in every program.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

#include "engine/settings.h"
#include "models/resnet.h"
#include "nn/data/image.h"
#include "nn/data/open_images.h"
#include "nn/optim.h"
#include "xai/grad_cam.h"
#include "xai/losses.h"
#include "xai/metrics.h"

namespace boxcam {

struct DataOptions {
  std::string data = "scenes";
  std::vector<std::string> classes = {"plane", "ship", "car"};
  int64_t train_images = 0, val_images = 0, test_images = 0;  ///< 0: all (scenes: 2000, 500, 500)
  uint64_t data_seed = 0;
  int image_size = 224;
  int64_t batch = 16;
  Preprocess::Resize resize = Preprocess::Resize::squash;
  Preprocess::Augment augment = Preprocess::Augment::none;
  OpenImagesOptions::GroupOf group_of = OpenImagesOptions::GroupOf::keep;
  OpenImagesOptions::SeveralClasses several_classes = OpenImagesOptions::SeveralClasses::largest;
  bool expand_children = false;
  std::vector<std::string> sources;
  double context_correlation = 1;
};

struct ModelOptions {
  std::string model = "resnet50";
  std::string weights;
  std::vector<std::string> allow_missing;
};

/// How CAMs are made and measured.
struct CamOptions {
  enum class BatchNorm { train, eval };
  std::vector<std::string> taps = {"layer4"};  ///< several: their maps are averaged
  CamTarget target = CamTarget::logit;
  CamNormalizer normalizer = CamNormalizer::differentiated;
  CamProfile profile = CamProfile::pgc_1_4;
  bool explains_predicted = false;  ///< the predicted class instead of the label
  ContentHeatmap content_heatmap = ContentHeatmap::batch;
  double eval_margin = 0;  ///< pixels of the network's input
};

struct TrainOptions {
  /// What the penalty teaches the classifier: docs/method.md, "The readings".
  enum class PenaltyGradient { full, constant, activations, weights, transfer, leak };
  enum class CamModel { shared, copy };
  enum class BestBy { content_heatmap, accuracy, last };
  OptimizerOptions optimizer;
  Schedule schedule;
  double learning_rate = 0;   ///< 0: 0.01 (sgd), 0.001 (adamw)
  double clip_grad_norm = 0;  ///< 0: off
  int64_t epochs = 30;
  double lambda = 0, margin = 0;
  CamLossFunction loss = box_loss;
  bool skip_unboxed = false, shuffled_boxes = false;
  PenaltyGradient penalty_gradient = PenaltyGradient::full;
  bool transfer_activations = false;  ///< transfer: through the activations only
  CamModel cam_model = CamModel::shared;
  CamOptions::BatchNorm cam_batch_norm = CamOptions::BatchNorm::train;
  BestBy best_by = BestBy::content_heatmap;
  bool thesis = false;
  std::string output;
  bool resume = false;
  /// Values settled after parsing (by --thesis, transfer, defaults that depend on others), by option, for run.json.
  std::vector<std::pair<std::string, std::string>> implied;
};

struct RunOptions {
  uint64_t seed = 0;
  int threads = 0;
  ConvAlgorithm conv_algorithm = ConvAlgorithm::automatic;
  Device device = Device::cpu;
  bool allow_tf32 = false, fast_algorithms = false;  ///< cuda
  DType precision = DType::f32;                      ///< of activations and convolutions: f32 or bf16
  std::string profile;                               ///< a file for the time of each kernel and of waits; empty: none
};

void add_data_options(CLI::App& app, DataOptions& options, bool training);
void add_model_options(CLI::App& app, ModelOptions& options);
void add_cam_options(CLI::App& app, CamOptions& options);
void add_train_options(CLI::App& app, TrainOptions& options);
void add_run_options(CLI::App& app, RunOptions& options);

/// What --thesis implies, for options that were not given; refuses those that contradict it, and pairs of options that
/// cannot go together (docs/method.md, "The readings"), naming the reason. Call after parsing.
void settle_train_options(const CLI::App& app, DataOptions& data, CamOptions& cam, TrainOptions& train);

/// Sets threads, device and convolution algorithm, and starts the profile that run_app will write.
void apply(const RunOptions& options);

/// Every option of `app` with its value after defaults, by name, for run.json.
nlohmann::json options_as_json(const CLI::App& app);

/// Runs a program: parses, reports wrong options with the nearest right one, and turns an Error into one sentence on
/// stderr and exit status 1 (2 for wrong options).
int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

}  // namespace boxcam
