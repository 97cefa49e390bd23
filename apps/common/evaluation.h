// Measuring a model on a split.
#pragma once

#include <functional>
#include <map>

#include "apps/common/data/data.h"
#include "apps/common/json.h"
#include "apps/common/method.h"

namespace boxcam {

/// One image of a split as the model sees it; of several labels one pair of an image and a class that it shows.
struct ImageResult {
  int64_t index = 0;  ///< in the split
  std::string id, source;
  int64_t label = 0, predicted = 0;  ///< of several labels: of one class that it shows; -1
  double score = 0;                  ///< probability of the predicted class; of several labels of `label`
  CamRecord cam;
  bool right() const { return label == predicted; }
  /// NaN without a box or with an empty CAM.
  double content_heatmap() const;
};

struct Evaluation {
  Metrics metrics;
  double cross_entropy = 0;                  ///< mean over images
  std::map<std::string, Metrics> by_source;  ///< SourceSet, or the background of scenes
  std::map<std::string, Metrics> by_group;   ///< Dataset::group; empty where the data know no groups
  std::vector<int64_t> boxed, empty;         ///< images of each class with a box, and of them with an empty CAM
  std::vector<ImageResult> images;           ///< in the order of the split
};

/// What accuracy is called in files and on the terminal: of several labels it is mean average precision.
struct AccuracyNames {
  std::string key, worst_class_key, by_class_key;
  std::string word;
};
const AccuracyNames& accuracy_names(Task task);

/// Eval mode; CAMs are the label's unless `explain` says otherwise; of several labels (`data_options`) those of every
/// class that an image shows, and no groups are told apart. `stop` is asked between batches; when it says so
/// the result is empty.
std::optional<Evaluation> evaluate(Classifier& model, const Dataset& data, const DataOptions& data_options,
                                   const ExplainOptions& explain, const Measuring& measuring,
                                   const std::function<bool()>& stop = {});

/// Keys of test.json with the given prefix ("test_", "out_of_context_").
void add_to_json(nlohmann::json& json, const std::string& prefix, const Evaluation& e, const Measuring& measuring);
/// What there is of each class: accuracy, the confusion of labels and predictions (of one label), the share of the
/// class' boxed images whose CAM is empty (null without one), and the head's centred bias (of one label).
void add_classes_to_json(nlohmann::json& json, const Evaluation& e, const Classifier& model,
                         const std::vector<std::string>& classes);
/// b_c - mean b of the head for each class: only where it is positive can a class be predicted with an empty CAM of the
/// centred score at the last tap.
std::vector<double> centred_bias(const Classifier& model);

/// "accuracy 93.20 %   Content-Heatmap 71.40 %   box coverage 40.00 %   empty CAMs 0.00 %", and the number of images
/// that lost every box in a crop, where there are any.
std::string summary(const Evaluation& e, const Measuring& measuring);
/// A warning when the share of empty CAMs makes Content-Heatmap meaningless; empty when all is well.
std::string empty_cam_warning(const Metrics& m);
std::string percent(double fraction);  ///< "93.20 %", "-" for NaN

}  // namespace boxcam
