// Accuracy with parts of the test pictures: without their ground, without their objects, on another ground.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/data/data.h"
#include "apps/common/json.h"
#include "nn/classifier.h"

namespace boxcam {

/// Of the test pictures with objects (docs/data.md); the right answer is the whole picture's label throughout.
struct BackgroundVariants {
  int64_t images = 0;
  std::vector<std::pair<std::string, double>> accuracy = {};  ///< by variant: "mixed-same"; NaN without an image

  double accuracy_on(const std::string& variant) const;
  /// What the ground alone decides: mixed-same - mixed-rand (Xiao et al., ICLR 2021).
  double bg_gap() const { return accuracy_on("mixed-same") - accuracy_on("mixed-rand"); }
};

/// `data` of a kind that has variants (DataKind::variants). `stop` is asked between batches; when it says so the result
/// is empty.
std::optional<BackgroundVariants> measure_background_variants(Classifier& model, DataOptions& data,
                                                              const std::function<bool()>& stop = {});

/// Keys of test.json and evaluate: "mixed_same_accuracy" and the like, "bg_gap", "variant_images".
void add_to_json(nlohmann::json& json, const BackgroundVariants& variants);
/// Lines for the terminal.
std::string background_variants_text(const BackgroundVariants& variants);

}  // namespace boxcam
