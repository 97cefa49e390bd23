// Measures a checkpoint on a split: accuracy, Content-Heatmap, box coverage, empty CAMs, by class and by source.
#include <iostream>

#include "apps/common/evaluation.h"
#include "apps/common/model.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/sanity_page.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/models.h"

using namespace boxcam;

namespace {

struct Options {
  std::string checkpoint, split = "test", json;
  DataOptions data;
  ModelOptions model;
  ExplainOptions explain;
  Measuring measuring;
  SanityOptions sanity;
  RunOptions run;
};

/// --sanity of each split, in place of the measurements. A seed of its own draws the fresh parameters.
int check_sanity(Classifier& model, const std::vector<DataSplit>& splits, const Options& o) {
  const auto fresh = make_classifier(model.name(), model.classes(), DType::f32, 1);
  nlohmann::json json = nlohmann::json::object();
  for (const DataSplit& split : splits)
    if (!interrupted())
      json[split.name] = {{"sanity", check_sanity(model, *fresh, split, o.data, o.explain, o.sanity)}};
  if (!o.json.empty()) write_file(o.json, {json_text(json, 2), "\n"});
  return interrupted() ? exit_status() : 0;
}

/// What the file says of itself, for options that were not given; then the data settle what they know better.
ModelCard settle(OptionTable& table, Options& o) {
  take_class_names(table, o.data);
  const ModelCard card = read_card(o.checkpoint);
  const std::string as_in_file = adopt(card, Adopt::everything, table, o.data);
  const std::string as_in_run = adopt_data(o.checkpoint, table, o.data);
  for (const std::string& note : {as_in_file, as_in_run})
    if (!note.empty()) std::cout << note << "\n";
  settle_data_options(table, o.data);
  check_network(card, Adopt::everything, table);
  return card;
}

int run(const OptionTable& table, Options& o, const ModelCard& card) {
  check_new_file("--json", o.json);
  apply(o.run);
  settle_loader(o.data, o.run.device);
  TestSplits chosen;
  if (o.split == "test")
    chosen = open_test_splits(o.data);
  else
    chosen.splits = open_splits(o.data, {o.split});
  catch_interrupts();
  const auto& [splits, note] = chosen;
  const std::vector<std::string>& classes = splits[0].data->classes();
  check_classes(card, classes);
  const auto [model, report] = load_model(o.checkpoint, o.model.model);
  if (!report.empty()) std::cout << report << "\n";
  check(model->classes() == static_cast<int64_t>(classes.size()), o.checkpoint, " has ", model->classes(),
        " classes, the data have ", classes.size(), " (", join(classes, ","), ")");
  place(*model, o.run);
  settle_taps(o.explain, *model);

  nlohmann::json json = nlohmann::json::object();
  if (!note.empty()) {
    std::cout << "note: " << note << "\n";
    json["note"] = note;
  }
  print_notes(std::cout, splits);
  if (const auto differing = overrides(card, table); !differing.empty()) {
    std::cout << summary(differing) << "\n";
    json["not_as_trained"] = to_json(differing);
  }
  if (o.sanity.on) return check_sanity(*model, splits, o);
  for (const DataSplit& split : splits) {
    const auto e = evaluate(*model, *split.data, o.data, o.explain, o.measuring, interrupted);
    if (!e) return exit_status();
    const Metrics& m = e->metrics;
    std::cout << split.name << ": " << split.data->describe() << "\n  " << summary(*e, o.measuring)
              << "   cross-entropy " << e->cross_entropy << "\n";
    nlohmann::json entry = nlohmann::json::object();
    add_to_json(entry, "", *e, o.measuring);
    entry["content_heatmap_batch"] = number(m.content_heatmap(ContentHeatmap::batch));
    entry["content_heatmap_pooled"] = number(m.content_heatmap(ContentHeatmap::pooled));
    entry["content_heatmap_image_mean"] = number(m.content_heatmap(ContentHeatmap::image_mean));
    entry["per_class_accuracy"] = per_class_json(m, split.data->classes());
    entry["worst_class_accuracy"] = number(m.worst_class_accuracy());
    entry["confusion"] = confusion_json(m);
    entry["empty_cams_by_class"] = empty_by_class_json(*e, split.data->classes());
    entry["centred_bias"] = centred_bias_json(*model, split.data->classes());
    std::cout << "  Content-Heatmap by batch " << percent(m.content_heatmap(ContentHeatmap::batch)) << ", pooled "
              << percent(m.content_heatmap(ContentHeatmap::pooled)) << ", image mean "
              << percent(m.content_heatmap(ContentHeatmap::image_mean)) << "\n  accuracy by class:";
    const auto by_class = m.per_class_accuracy();
    for (size_t c = 0; c < by_class.size(); ++c)
      std::cout << (c ? ", " : " ") << split.data->classes()[c] << " " << percent(by_class[c]);
    std::cout << "\n  empty CAMs by class (centred bias):";
    const std::vector<double> bias = centred_bias(*model);
    for (size_t c = 0; c < bias.size(); ++c)
      std::cout << (c ? ", " : " ") << split.data->classes()[c] << " "
                << percent(static_cast<double>(e->empty[c]) / static_cast<double>(e->boxed[c])) << " (" << bias[c]
                << ")";
    std::cout << "\n";
    for (const auto& [source, s] : e->by_source) {
      std::cout << "  source " << source << ": " << s.images() << " images, accuracy " << percent(s.accuracy())
                << ", Content-Heatmap (pooled) " << percent(s.content_heatmap(ContentHeatmap::pooled))
                << ", empty CAMs " << percent(s.empty_cams()) << "\n";
      entry["by_source"][source] = {{"images", s.images()},
                                    {"accuracy", number(s.accuracy())},
                                    {"content_heatmap_pooled", number(s.content_heatmap(ContentHeatmap::pooled))},
                                    {"empty_cams", number(s.empty_cams())}};
    }
    const std::string warning = empty_cam_warning(m);
    if (!warning.empty()) std::cout << warning << "\n";
    json[split.name] = entry;
  }
  if (!o.json.empty()) write_file(o.json, {json_text(json, 2), "\n"});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures a checkpoint: accuracy, Content-Heatmap, box coverage and empty CAMs.", "evaluate");
  Options o;
  OptionTable table(app);
  table.required("--checkpoint", o.checkpoint, "the model: best.safetensors or last.safetensors of a run, or a .pth");
  table.text("--split", o.split, "train, validation, test (scenes: in and out of context), out-of-context");
  table.text("--json", o.json, "write the numbers to this file");
  declare_data_set(table, o.data, {"train", "val", "test"});
  declare_batch(table, o.data);
  declare_model(table, o.model);
  declare_explanation(table, o.explain);
  declare_ablation(table, o.explain);
  declare_cam_class(table, o.explain);
  declare_measuring(table, o.measuring);
  declare_sanity(table, o.sanity);
  declare_cpu(table, o.run);
  declare_device(table, o.run);
  declare_loader(table, o.data);
  return run_app(app, argc, argv, [&] {
    table.refuse(!o.sanity.explainers.empty() && !o.sanity.on, "--explainers", "belongs to --sanity");
    const ModelCard card = settle(table, o);
    return run(table, o, card);
  });
}
