// Options of the model, of how it is explained, and of how explanations are measured.
#pragma once

#include "apps/common/method.h"
#include "apps/common/options/table.h"

namespace boxcam {

struct ModelOptions {
  ModelOptions();  ///< the first of the models there are
  std::string model;
  std::string weights;
  std::vector<std::string> allow_missing;
};

/// --model.
void declare_model(OptionTable& table, ModelOptions& options);
/// --weights and --weights-allow-missing.
void declare_start_weights(OptionTable& table, ModelOptions& options);
/// How a CAM is made; not of which class, which declare_cam_class says.
void declare_explanation(OptionTable& table, ExplainOptions& options);
/// The same for several explainers side by side: --explainer takes a list.
void declare_explanations(OptionTable& table, ExplainOptions& options, std::vector<const Explainer*>& explainers);
/// Acts where ablation-cam can be chosen.
void declare_ablation(OptionTable& table, ExplainOptions& options);
/// Acts where a CAM is differentiated.
void declare_normalizer(OptionTable& table, ExplainOptions& options);
void declare_cam_class(OptionTable& table, ExplainOptions& options);
void declare_measuring(OptionTable& table, Measuring& options);

}  // namespace boxcam
