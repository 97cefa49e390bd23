#include "apps/common/options/explain.h"

#include "engine/base/text.h"
#include "models/models.h"

namespace boxcam {

ModelOptions::ModelOptions() : model(model_names().front()) {}

void declare_model(OptionTable& table, ModelOptions& o) {
  Words<std::string> words;
  std::vector<std::string> kinds;
  for (const ModelKind& kind : model_kinds()) {
    words.emplace_back(kind.name, kind.name);
    kinds.push_back(str(kind.name, " (", kind.what, ")"));
  }
  table.group("Model");
  table.choice("--model", o.model, words, "one of " + join(kinds));
}

void declare_start_weights(OptionTable& table, ModelOptions& o) {
  table.group("Model");
  table.text("--weights", o.weights, "file with weights to start from: .pth (zip or legacy) or .safetensors");
  table.list("--weights-allow-missing", o.allow_missing,
             "parts of the model, by their tensors' names, that the file may lack and that start fresh");
}

namespace {

constexpr const char* kExplainerHelp = "the map M of activations A, of the score's gradient g, or of the model";

/// What is said of a map, whatever makes it.
void declare_map(OptionTable& table, ExplainOptions& o) {
  table.list("--tap", o.taps,
             "the activations that are explained (default: the model's last); of several, comma-separated, the maps "
             "are averaged");
  table.word("--cam-target", o.cam.target,
             "the explained score: the class' logit (the thesis), or minus the mean of all logits");
  table.word("--cam-profile", o.cam.profile, "the order of ReLU, min-max and resize, by release of pytorch-grad-cam");
}

}  // namespace

void declare_explanation(OptionTable& table, ExplainOptions& o) {
  table.group("Explanation");
  table.row("--explainer", o.cam.explainer, explainers(), kExplainerHelp);
  declare_map(table, o);
}

void declare_explanations(OptionTable& table, ExplainOptions& o, std::vector<const Explainer*>& chosen) {
  table.group("Explanation");
  table.rows("--explainer", chosen, explainers(), str("one, or several side by side: ", kExplainerHelp));
  declare_map(table, o);
}

void declare_ablation(OptionTable& table, ExplainOptions& o) {
  table.group("Explanation");
  table.word("--ablation", o.cam.ablation, "what ablation-cam puts in place of a channel: 0, or its mean over the map");
}

void declare_normalizer(OptionTable& table, ExplainOptions& o) {
  table.group("Explanation");
  table.word("--cam-normalizer", o.cam.normalizer, "whether minimum and maximum are differentiated or constants");
}

void declare_cam_class(OptionTable& table, ExplainOptions& o) {
  table.group("Explanation");
  table.word("--cam-class", o.explains,
             "the class that is explained: the image's own, or the one the network predicts");
}

void declare_measuring(OptionTable& table, Measuring& o) {
  table.group("Explanation");
  table.word("--content-heatmap", o.content_heatmap,
             "mean of batch ratios (the thesis), ratio of the split's sums, mean of image ratios");
  table.number("--eval-margin", o.margin, at_least(0), "pixels added around boxes when measuring (train: as --margin)");
}

}  // namespace boxcam
