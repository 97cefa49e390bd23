// Measures a checkpoint on a split: accuracy, Content-Heatmap, box coverage, empty CAMs, by class, by group and by
// source; or a page of explainers by metrics.
#include <iostream>

#include "apps/common/background_variants.h"
#include "apps/common/evaluation.h"
#include "apps/common/explainer_page.h"
#include "apps/common/groups.h"
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
  PageOptions page;
  bool sanity = false;
  RunOptions run;
};

/// --sanity of each split, in place of the measurements. A seed of its own draws the fresh parameters.
int check_sanity(Classifier& model, const std::vector<DataSplit>& splits, const Options& o) {
  const auto fresh = make_classifier(model.name(), model.classes(), DType::f32, 1);
  nlohmann::json json = nlohmann::json::object();
  for (const DataSplit& split : splits)
    if (!interrupted())
      json[split.name] = {{"sanity", check_sanity(model, *fresh, split, o.data, o.explain, o.page.explainers)}};
  if (!o.json.empty()) write_file(o.json, {json_text(json, 2), "\n"});
  return interrupted() ? exit_status() : 0;
}

/// What asks for the CAM of an image's one label, or for a right answer.
void refuse_for_several_labels(const OptionTable& table, const Options& o) {
  const std::string reason = "of images with several labels only what train measures of them is measured";
  table.refuse(o.sanity, "--sanity", reason);
  table.refuse(o.page.asked(), o.page.explainers.empty() ? "--metrics" : "--explainers", reason);
  table.refuse(o.explain.explains == ExplainOptions::Class::predicted, "--cam-class",
               "predicted does not go with --task multi-label, which explains every class that an image shows");
  table.refuse(o.explain.cam.target == CamTarget::centered, "--cam-target",
               "centered is not derived for --task multi-label: expected logit");
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
  if (o.data.task == Task::multi_label) refuse_for_several_labels(table, o);
  check_page_options(table, o.page);
  check_network(card, Adopt::everything, table);
  return card;
}

/// The page of explainers and metrics instead; what was measured before an interrupt is printed and written.
int show_page(Classifier& model, const std::vector<DataSplit>& splits, const Options& o, nlohmann::json& json) {
  const PagePlan plan = settle_page(o.page, o.explain);
  std::string csv = page_csv_head();
  for (const DataSplit& split : splits) {
    if (interrupted()) break;
    const MeasuredPage page =
        measure_page(model, split, o.data, o.explain, o.measuring, plan, o.page.seed, interrupted);
    std::cout << split.name << ": " << split.data->describe() << "\n";
    if (!page.whole())
      std::cout << "  interrupted: " << page.images() << " of " << page.planned << " images were measured\n";
    if (page.images() == 0) break;
    const auto groups = page_groups(page, split.data->classes(), o.page.seed);
    print_page(std::cout, page, groups);
    json[split.name] = page_json(page, groups);
    csv += page_csv(split.name, page, groups);
  }
  json["interrupted"] = interrupted();
  if (!o.page.csv.empty()) write_file(o.page.csv, {csv});
  return interrupted() ? exit_status() : 0;
}

int run(const OptionTable& table, Options& o, const ModelCard& card) {
  check_new_file("--json", o.json);
  check_new_file("--csv", o.page.csv);
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
  const auto [model, report, digest] = load_model(o.checkpoint, o.model.model);
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
  if (o.sanity) return check_sanity(*model, splits, o);
  if (o.page.asked()) {
    const int status = show_page(*model, splits, o, json);
    if (!o.json.empty()) write_file(o.json, {json_text(json, 2), "\n"});
    return status;
  }
  std::map<std::string, int64_t> training;  // its groups
  for (const DataSplit& split : splits) {
    const auto e = evaluate(*model, *split.data, o.data, o.explain, o.measuring, interrupted);
    if (!e) return exit_status();
    const Metrics& m = e->metrics;
    const std::string accuracy = accuracy_names(m.task()).word;
    std::cout << split.name << ": " << split.data->describe() << "\n  " << summary(*e, o.measuring)
              << "   cross-entropy " << e->cross_entropy << "\n";
    nlohmann::json entry = nlohmann::json::object();
    add_to_json(entry, "", *e, o.measuring);
    if (!e->by_group.empty() && training.empty()) training = training_groups(o.data);
    const GroupAccuracy groups = group_accuracy(*e, training);
    add_groups_to_json(entry, "", groups);
    entry["content_heatmap_batch"] = number(m.content_heatmap(ContentHeatmap::batch));
    entry["content_heatmap_pooled"] = number(m.content_heatmap(ContentHeatmap::pooled));
    entry["content_heatmap_image_mean"] = number(m.content_heatmap(ContentHeatmap::image_mean));
    add_classes_to_json(entry, *e, *model, split.data->classes());
    std::cout << "  Content-Heatmap by batch " << percent(m.content_heatmap(ContentHeatmap::batch)) << ", pooled "
              << percent(m.content_heatmap(ContentHeatmap::pooled)) << ", image mean "
              << percent(m.content_heatmap(ContentHeatmap::image_mean)) << "\n  " << accuracy << " by class:";
    const auto by_class = m.per_class_accuracy();
    for (size_t c = 0; c < by_class.size(); ++c)
      std::cout << (c ? ", " : " ") << split.data->classes()[c] << " " << percent(by_class[c]);
    const bool several = m.task() == Task::multi_label;  // whose logits have no common shift
    std::cout << "\n  empty CAMs by class" << (several ? ":" : " (centred bias):");
    const std::vector<double> bias = centred_bias(*model);
    for (size_t c = 0; c < bias.size(); ++c) {
      std::cout << (c ? ", " : " ") << split.data->classes()[c] << " "
                << percent(static_cast<double>(e->empty[c]) / static_cast<double>(e->boxed[c]));
      if (!several) std::cout << " (" << bias[c] << ")";
    }
    std::cout << "\n";
    for (const auto& [source, s] : e->by_source) {
      std::cout << "  source " << source << ": " << s.images() << " images, " << accuracy << " "
                << percent(s.accuracy()) << ", Content-Heatmap (pooled) "
                << percent(s.content_heatmap(ContentHeatmap::pooled)) << ", empty CAMs " << percent(s.empty_cams())
                << "\n";
      object_in(entry, "by_source")[source] = {
          {"images", s.images()},
          {accuracy_names(m.task()).key, number(s.accuracy())},
          {"content_heatmap_pooled", number(s.content_heatmap(ContentHeatmap::pooled))},
          {"empty_cams", number(s.empty_cams())}};
    }
    std::cout << groups_text(*e, groups);
    const std::string warning = empty_cam_warning(m);
    if (!warning.empty()) std::cout << warning << "\n";
    json[split.name] = entry;
  }
  if (o.data.background_variants) {
    const auto variants = measure_background_variants(*model, o.data, interrupted);
    if (!variants) return exit_status();
    add_to_json(json["background_variants"], *variants);
    std::cout << background_variants_text(*variants);
  }
  if (!o.json.empty()) write_file(o.json, {json_text(json, 2), "\n"});
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app("Measures a checkpoint: accuracy, Content-Heatmap, box coverage and empty CAMs.", "evaluate");
  Options o;
  OptionTable table(app);
  table.required("--checkpoint", o.checkpoint, "the model: best.safetensors or last.safetensors of a run, or a .pth");
  app.add_option_function<std::string>(
         "--identity",
         [](const std::string& file) {
           std::cout << json_text(file_identity(file), 2) << "\n";
           throw CLI::Success();
         },
         "print what a weight file is: digests (its checksums are compared), what it says of itself, and program, "
         "machine and data of the run beside it; nothing else is done")
      ->trigger_on_parse();
  table.text("--split", o.split,
             "train, validation, test (scenes: in and out of context), out-of-context; scenes also only-fg, no-fg, "
             "only-bg-b, only-bg-t, mixed-same, mixed-rand, mixed-next");
  table.text("--json", o.json, "write the numbers to this file");
  declare_data_set(table, o.data, {"train", "val", "test"});
  declare_background_variants(table, o.data);
  declare_batch(table, o.data);
  declare_model(table, o.model);
  declare_explanation(table, o.explain);
  declare_ablation(table, o.explain);
  declare_cam_class(table, o.explain);
  declare_measuring(table, o.measuring);
  declare_page(table, o.page);
  declare_sanity(table, o.sanity);
  declare_cpu(table, o.run);
  declare_device(table, o.run);
  declare_loader(table, o.data);
  return run_app(app, argc, argv, [&] {
    table.refuse(o.sanity && !o.page.metrics.empty(), "--metrics",
                 "are of the page of explainers; --sanity has its own");
    table.refuse(o.data.background_variants && (o.sanity || o.page.asked() || o.split != "test"),
                 "--background-variants", "measures the test split, without --sanity, --explainers and --metrics");
    const ModelCard card = settle(table, o);
    return run(table, o, card);
  });
}

}  // namespace

int main(int argc, char** argv) { return guarded("evaluate", program, argc, argv); }
