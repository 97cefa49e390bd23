#include "apps/common/evaluation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "apps/common/pairs.h"
#include "nn/input.h"
#include "xai/boxes.h"
#include "xai/multi_label.h"

namespace boxcam {

double ImageResult::content_heatmap() const {
  return cam.boxed() && !cam.empty() ? cam.inside / cam.total : std::nan("");
}

namespace {

/// What the CAMs of each pair are, a class after another.
PairRecords measured_pairs(Classifier& model, const Tensor& x, const Forward& pass, const ExplainOptions& explaining,
                           const Pairs& pairs, double margin) {
  const std::vector<Tensor> masks = pairs.masks(x.dim(1), margin, DType::f32, x.device());
  PairRecords records(static_cast<size_t>(pairs.pictures()), std::vector<CamRecord>(masks.size()));
  pair_losses(pairs.boxed, masks, [&](const Tensor& q, const Tensor& mask) {
    const std::vector<CamRecord> of_class = cam_records(explain(model, x, pass, q, explaining).cam, mask);
    for (size_t n = 0; n < of_class.size(); ++n) records[n][static_cast<size_t>(q.to_vector()[0])] = of_class[n];
    return Tensor::zeros({pairs.pictures()}, DType::f32, x.device());
  });
  return records;
}

/// Adds a batch of pictures with several labels.
void add_pairs(Evaluation& result, const Batch& batch, const Pairs& pairs, const Tensor& logits,
               const PairRecords& records) {
  const int64_t classes = pairs.classes();
  const std::vector<double> scores = logits.to_vector(), probable = class_probabilities(logits, Task::multi_label);
  const std::vector<char> shows = pairs.shows();
  result.metrics.add(scores, shows, records_of(records, pairs));
  result.metrics.add_lost_boxes(pairs.lost_boxes());
  result.cross_entropy += mean(sigmoid_cross_entropies(logits, pairs.present)).item() * static_cast<double>(batch.size);
  for (int64_t n = 0; n < pairs.pictures(); ++n) {
    const auto picture = static_cast<size_t>(n), first = static_cast<size_t>(n * classes);
    for (int64_t label = 0; label < classes; ++label) {
      if (!pairs.has(pairs.present, n, label)) continue;
      const CamRecord& cam = records[picture][static_cast<size_t>(label)];
      result.images.push_back({batch.indices[picture], batch.ids[picture], batch.sources[picture], label, -1,
                               probable[first + static_cast<size_t>(label)], cam});
      result.boxed[label] += cam.boxed();
      result.empty[label] += cam.boxed() && cam.empty();
    }
    if (batch.sources[picture].empty()) continue;
    Metrics& source = result.by_source.try_emplace(batch.sources[picture], classes, Task::multi_label).first->second;
    source.add(std::span(scores).subspan(first, static_cast<size_t>(classes)),
               std::span(shows).subspan(first, static_cast<size_t>(classes)), records_of(records, pairs, n));
  }
}

}  // namespace

const AccuracyNames& accuracy_names(Task task) {
  static const AccuracyNames one = {"accuracy", "worst_class_accuracy", "per_class_accuracy", "accuracy"};
  static const AccuracyNames several = {"mean_average_precision", "worst_class_average_precision",
                                        "per_class_average_precision", "mean average precision"};
  return task == Task::single_label ? one : several;
}

std::optional<Evaluation> evaluate(Classifier& model, const Dataset& data, const DataOptions& data_options,
                                   const ExplainOptions& explaining, const Measuring& measuring,
                                   const std::function<bool()>& stop) {
  const int64_t classes = static_cast<int64_t>(data.classes().size());
  Evaluation result{Metrics(classes, data_options.task), 0, {}, {}, std::vector<int64_t>(classes),
                    std::vector<int64_t>(classes),       {}};
  Loader loader(data, loader_options(data_options, data, false, 0));
  loader.start_epoch(0);
  const Device device = model.device();
  while (const auto batch = loader.next()) {
    if (stop && stop()) return {};
    const Tensor labels = label_tensor(*batch, device), x = input_tensor(*batch, device);
    const int64_t size = batch->image_size;
    const Forward pass = explained_forward(model, x, ForwardOptions::observing(), explaining);
    if (data_options.task == Task::multi_label) {
      const Pairs pairs = pairs_of(*batch, classes);
      const PairRecords records = measured_pairs(model, x, pass, explaining, pairs, measuring.margin);
      const NoGrad no_grad;
      add_pairs(result, *batch, pairs, pass.logits, records);
      continue;
    }
    const Tensor map = explain(model, x, pass, labels, explaining).cam;
    const NoGrad no_grad;
    const auto records = cam_records(map, box_masks(batch->boxes, size, size, measuring.margin, map.dtype(), device));
    const auto predicted = predictions(pass.logits);
    result.metrics.add(batch->labels, predicted, records);
    result.metrics.add_lost_boxes(std::count(batch->lost_boxes.begin(), batch->lost_boxes.end(), 1));
    result.cross_entropy += cross_entropy(pass.logits, labels).item() * static_cast<double>(batch->size);
    const std::vector<double> scores = softmax(pass.logits).to_vector();
    for (size_t n = 0; n < records.size(); ++n)
      result.images.push_back({batch->indices[n], batch->ids[n], batch->sources[n], batch->labels[n], predicted[n],
                               scores[n * static_cast<size_t>(classes) + static_cast<size_t>(predicted[n])],
                               records[n]});
    for (size_t n = 0; n < records.size(); ++n) {
      result.boxed[batch->labels[n]] += records[n].boxed();
      result.empty[batch->labels[n]] += records[n].boxed() && records[n].empty();
    }
    for (size_t n = 0; n < records.size(); ++n) {
      const auto count = [&](std::map<std::string, Metrics>& parts, const std::string& part) {
        if (!part.empty())
          parts.try_emplace(part, classes)
              .first->second.add({&batch->labels[n], 1}, {&predicted[n], 1}, {&records[n], 1});
      };
      count(result.by_source, batch->sources[n]);
      count(result.by_group, data.group(batch->indices[n]));
    }
  }
  result.cross_entropy /= static_cast<double>(std::max<int64_t>(result.metrics.images(), 1));
  return result;
}

void add_to_json(nlohmann::json& json, const std::string& prefix, const Evaluation& e, const Measuring& measuring) {
  const Metrics& m = e.metrics;
  json[prefix + "images"] = m.images();
  json[prefix + "loss"] = number(e.cross_entropy);
  const AccuracyNames& names = accuracy_names(m.task());
  json[prefix + names.key] = number(m.accuracy());
  json[prefix + names.worst_class_key] = number(m.worst_class_accuracy());
  json[prefix + "content_heatmap"] = number(m.content_heatmap(measuring.content_heatmap));
  json[prefix + "box_coverage"] = number(m.box_coverage());
  json[prefix + "empty_cams"] = number(m.empty_cams());
  json[prefix + "lost_boxes"] = m.lost_boxes();
}

namespace {

nlohmann::json per_class_json(const Metrics& m, const std::vector<std::string>& classes) {
  nlohmann::json json = nlohmann::json::object();
  const auto accuracies = m.per_class_accuracy();
  for (size_t c = 0; c < classes.size(); ++c) json[classes[c]] = number(accuracies[c]);
  return json;
}

nlohmann::json empty_by_class_json(const Evaluation& e, const std::vector<std::string>& classes) {
  nlohmann::json json = nlohmann::json::object();
  for (size_t c = 0; c < classes.size(); ++c)
    json[classes[c]] = number(static_cast<double>(e.empty[c]) / static_cast<double>(e.boxed[c]));
  return json;
}

nlohmann::json confusion_json(const Metrics& m) {
  nlohmann::json rows = nlohmann::json::array();
  for (int64_t label = 0; label < m.classes(); ++label) {
    rows.push_back(nlohmann::json::array());
    for (int64_t p = 0; p < m.classes(); ++p) rows.back().push_back(m.confusion(label, p));
  }
  return rows;
}

nlohmann::json centred_bias_json(const Classifier& model, const std::vector<std::string>& classes) {
  nlohmann::json json = nlohmann::json::object();
  const std::vector<double> b = centred_bias(model);
  for (size_t c = 0; c < classes.size(); ++c) json[classes[c]] = number(b[c]);
  return json;
}

}  // namespace

std::vector<double> centred_bias(const Classifier& model) {
  std::vector<double> b = model.head_bias().to_vector();
  const double mean = std::accumulate(b.begin(), b.end(), 0.0) / static_cast<double>(b.size());
  for (double& value : b) value -= mean;
  return b;
}

void add_classes_to_json(nlohmann::json& json, const Evaluation& e, const Classifier& model,
                         const std::vector<std::string>& classes) {
  const Task task = e.metrics.task();
  json[accuracy_names(task).by_class_key] = per_class_json(e.metrics, classes);
  json["empty_cams_by_class"] = empty_by_class_json(e, classes);
  if (task == Task::multi_label) return;
  json["confusion"] = confusion_json(e.metrics);
  json["centred_bias"] = centred_bias_json(model, classes);
}

std::string percent(double fraction) {
  if (std::isnan(fraction)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * fraction);
  return text;
}

std::string summary(const Evaluation& e, const Measuring& measuring) {
  const Metrics& m = e.metrics;
  return str(accuracy_names(m.task()).word, " ", percent(m.accuracy()), "   Content-Heatmap ",
             percent(m.content_heatmap(measuring.content_heatmap)), "   box coverage ", percent(m.box_coverage()),
             "   empty CAMs ", percent(m.empty_cams()),
             m.lost_boxes() > 0 ? str("   ", m.task() == Task::single_label ? "images" : "pairs",
                                      " that lost their boxes ", m.lost_boxes())
                                : "");
}

std::string empty_cam_warning(const Metrics& m) {
  if (!(m.empty_cams() > 0.1)) return "";
  return str("warning: ", percent(m.empty_cams()),
             " of the CAMs are empty, so Content-Heatmap means little: it leaves "
             "those images out, and a network that empties its CAMs looks like one that looks at the object");
}

}  // namespace boxcam
