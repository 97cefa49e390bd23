#include "apps/common/explainer_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <ostream>
#include <set>

#include "apps/common/progress.h"
#include "engine/base/text.h"
#include "nn/data/csv.h"
#include "nn/input.h"
#include "xai/boxes.h"

namespace boxcam {

// ---- options --------------------------------------------------------------------------------------------------------

void declare_page(OptionTable& table, PageOptions& o) {
  table.group("Page of explainers and metrics");
  table.rows("--explainers", o.explainers, explainers(), "compare these, comma-separated, or 'all'");
  table.rows("--metrics", o.metrics, cam_metrics(),
             "by these, comma-separated, or 'all' (default: those without forward passes)");
  table.text("--csv", o.csv, "write the page to this file, a number a line with its interval");
  table.whole("--seed", o.seed, "of the page's bootstrap samples and of ROAD's noise");
}

void check_page_options(const OptionTable& table, const PageOptions& o) {
  table.refuse(table.typed("--explainer") && !o.explainers.empty(), "--explainer",
               "--explainers says what is compared");
  for (const char* option : {"--csv", "--seed"})
    table.refuse(table.typed(option) && !o.asked(), option, "belongs to the page of --explainers and --metrics");
}

PagePlan settle_page(const PageOptions& o, const ExplainOptions& explain) {
  PagePlan plan{o.explainers, o.metrics};
  if (plan.explainers.empty()) plan.explainers = {explain.cam.explainer};
  if (plan.metrics.empty())
    for (const CamMetric& metric : cam_metrics())
      if (!metric.passes) plan.metrics.push_back(&metric);
  return plan;
}

// ---- measuring ------------------------------------------------------------------------------------------------------

namespace {

std::vector<double> scores_of(const Tensor& logits, const Tensor& classes) {
  const NoGrad no_grad;
  return take_at(softmax(logits.detach()), reshape(classes, {classes.dim(0), 1})).to_vector();
}

/// What the batch's maps are measured against. Maps of one batch all explain the same classes.
MetricGround ground_of(Classifier& model, const Batch& batch, const Tensor& x, const Tensor& logits,
                       const Tensor& classes, const Measuring& measuring, const DataOptions& data, uint64_t seed,
                       const std::function<bool()>& stop) {
  const Tensor on_host = classes.to(Device::cpu);
  MetricPictures pictures;
  pictures.x = x;
  pictures.classes.assign(on_host.data<int32_t>(), on_host.data<int32_t>() + on_host.numel());
  pictures.scores = scores_of(logits, classes);
  pictures.indices = batch.indices;
  pictures.logits = [&model](const Tensor& shown) { return model.forward(shown, ForwardOptions::observing()).logits; };
  pictures.batch = std::max<int64_t>(data.batch, 32);
  pictures.seed = seed;
  pictures.stop = stop;
  return MetricGround(box_masks(batch.boxes, batch.image_size, batch.image_size, measuring.margin), pictures);
}

/// Of every explainer and metric; nothing when it was stopped.
std::optional<std::vector<std::vector<MetricScores>>> measure_batch(Classifier& model, const Batch& batch,
                                                                    const DataOptions& data, ExplainOptions explain_as,
                                                                    const Measuring& measuring, const PagePlan& plan,
                                                                    uint64_t seed, MeasuredPage& page,
                                                                    const std::function<bool()>& stop,
                                                                    ProgressBar& progress) {
  const Device device = model.device();
  const Tensor labels = label_tensor(batch, device), x = input_tensor(batch, device);
  // One pass for all: recorded where an explainer needs a gradient that has no closed form.
  const Forward pass =
      explained_forward(model, x, ForwardOptions::observing(), explain_as, !has_closed_form(model, explain_as));
  const Tensor classes = explained_classes(pass.logits, labels, explain_as);
  MetricGround ground = ground_of(model, batch, x, pass.logits, classes, measuring, data, seed, stop);
  std::vector<std::vector<MetricScores>> scores;
  for (const Explainer* explainer : plan.explainers) {
    explain_as.cam.explainer = explainer;
    Maps maps(explain(model, x, pass, labels, explain_as).cam);
    scores.emplace_back();
    for (const CamMetric* metric : plan.metrics) {
      if (stop && stop()) return {};
      scores.back().emplace_back();
      if (!measure(*metric, maps, ground, scores.back().back())) return {};
    }
    progress.advance(explainer == plan.explainers.back() ? batch.size : 0, explainer->name);
  }
  const std::vector<int32_t> predicted = predictions(pass.logits);
  page.labels.insert(page.labels.end(), batch.labels.begin(), batch.labels.end());
  page.predicted.insert(page.predicted.end(), predicted.begin(), predicted.end());
  page.sources.insert(page.sources.end(), batch.sources.begin(), batch.sources.end());
  return scores;
}

void append(MetricScores& all, const MetricScores& more) {
  all.fields = more.fields;
  all.values.insert(all.values.end(), more.values.begin(), more.values.end());
  all.states.insert(all.states.end(), more.states.begin(), more.states.end());
}

}  // namespace

double MeasuredPage::accuracy() const {
  int64_t right = 0;
  for (size_t n = 0; n < labels.size(); ++n) right += labels[n] == predicted[n];
  return static_cast<double>(right) / static_cast<double>(images());
}

MeasuredPage measure_page(Classifier& model, const DataSplit& split, const DataOptions& data,
                          const ExplainOptions& explain, const Measuring& measuring, const PagePlan& plan,
                          uint64_t seed, const std::function<bool()>& stop) {
  MeasuredPage page;
  page.plan = plan, page.batch = data.batch, page.planned = split.data->size();
  page.scores.assign(plan.explainers.size(), std::vector<MetricScores>(plan.metrics.size()));
  Loader loader(*split.data, loader_options(data, *split.data, false, 0));
  loader.start_epoch(0);
  ProgressBar progress(split.name, loader.batches() * std::ssize(plan.explainers));
  while (const auto batch = loader.next()) {
    if (stop && stop()) break;
    const auto scores = measure_batch(model, *batch, data, explain, measuring, plan, seed, page, stop, progress);
    if (!scores) break;
    for (size_t e = 0; e < scores->size(); ++e)
      for (size_t m = 0; m < (*scores)[e].size(); ++m) append(page.scores[e][m], (*scores)[e][m]);
  }
  progress.clear();
  return page;
}

// ---- from images to numbers -----------------------------------------------------------------------------------------

namespace {

void add_estimates(PageGroup& group, const MeasuredPage& page, uint64_t seed) {
  std::vector<MeasuredMetric> measured;
  for (const auto& of_explainer : page.scores)
    for (size_t m = 0; m < of_explainer.size(); ++m) measured.push_back({page.plan.metrics[m], &of_explainer[m]});
  auto flat = estimate(measured, group.images, page.batch,
                       {.seed = seed, .stream = str("bootstrap, ", group.kind, ", ", group.name)});
  auto next = flat.begin();
  for (const auto& of_explainer : page.scores) {
    group.estimates.emplace_back();
    for (size_t m = 0; m < of_explainer.size(); ++m) group.estimates.back().push_back(std::move(*next++));
  }
}

}  // namespace

std::vector<PageGroup> page_groups(const MeasuredPage& page, const std::vector<std::string>& classes, uint64_t seed) {
  PageGroup all;
  std::map<std::string, PageGroup> by_source, by_both;
  std::vector<PageGroup> by_class(classes.size());
  for (int32_t n = 0; n < page.images(); ++n) {
    const std::string &label = classes[page.labels[n]], &source = page.sources[n];
    all.images.push_back(n);
    by_class[page.labels[n]].images.push_back(n);
    if (source.empty()) continue;
    by_source[source].images.push_back(n);
    by_both[label + ", " + source].images.push_back(n);
  }
  std::vector<PageGroup> groups = {all};
  const auto add = [&](const std::string& kind, const std::string& name, PageGroup group) {
    group.kind = kind, group.name = name;
    if (!group.images.empty()) groups.push_back(std::move(group));
  };
  for (size_t c = 0; c < classes.size(); ++c) add("class", classes[c], by_class[c]);
  for (const auto& [name, group] : by_source) add("source", name, group);
  for (const auto& [name, group] : by_both) add("group", name, group);
  for (PageGroup& group : groups) add_estimates(group, page, seed);
  return groups;
}

// ---- printing and writing -------------------------------------------------------------------------------------------

namespace {

constexpr size_t kPageWidth = 120;
constexpr size_t kMostGroupRows = 16;  // that the terminal shows of one kind

std::string padded(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text + " ";
}

std::string hundredths(double value) {
  if (std::isnan(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", 100 * value);
  return text;
}

/// "71.4 [69.8 73.0] 31.2": value, interval and, where there is one, chance.
std::string with_interval(const MetricEstimate& e) {
  if (std::isnan(e.value)) return "-";
  return str(hundredths(e.value), " [", hundredths(e.low), " ", hundredths(e.high), "]",
             std::isnan(e.chance) ? "" : " " + hundredths(e.chance));
}

struct PageColumn {
  std::string head;
  size_t metric, column;
};

std::vector<PageColumn> columns_of(const PagePlan& plan, bool main_alone) {
  std::vector<PageColumn> columns;
  for (size_t m = 0; m < plan.metrics.size(); ++m)
    for (size_t c = 0; c < (main_alone ? 1 : plan.metrics[m]->columns.size()); ++c) {
      const MetricColumn& column = plan.metrics[m]->columns[c];
      columns.push_back({column.name + (column.higher ? " +" : " -"), m, c});
    }
  return columns;
}

/// Rows of text under heads, in blocks that are no wider than a page.
void print_blocks(std::ostream& out, const std::vector<std::string>& heads, const std::vector<std::string>& names,
                  const std::vector<std::vector<std::string>>& cells) {
  size_t name_width = 0;
  for (const std::string& name : names) name_width = std::max(name_width, name.size() + 2);
  for (size_t begin = 0; begin < heads.size();) {
    std::vector<size_t> widths;
    size_t total = name_width;
    for (size_t c = begin; c < heads.size(); ++c) {
      size_t width = heads[c].size();
      for (const auto& row : cells) width = std::max(width, row[c].size());
      if (!widths.empty() && total + width + 2 > kPageWidth) break;
      widths.push_back(width + 2), total += width + 2;
    }
    const auto line = [&](const std::string& name, const std::vector<std::string>& row) {
      std::string text = "  " + padded(name, name_width);
      for (size_t c = 0; c < widths.size(); ++c) text += padded(row[begin + c], widths[c]);
      out << text.substr(0, text.find_last_not_of(' ') + 1) << "\n";
    };
    line("", heads);
    for (size_t r = 0; r < names.size(); ++r) line(names[r], cells[r]);
    begin += widths.size();
    if (begin < heads.size()) out << "\n";
  }
}

/// All columns of all images, an explainer a row.
void print_all(std::ostream& out, const MeasuredPage& page, const PageGroup& all) {
  std::vector<std::string> heads, names;
  std::vector<std::vector<std::string>> cells;
  const auto columns = columns_of(page.plan, false);
  for (const PageColumn& c : columns) heads.push_back(c.head);
  for (size_t e = 0; e < page.plan.explainers.size(); ++e) {
    names.push_back(page.plan.explainers[e]->name);
    cells.emplace_back();
    for (const PageColumn& c : columns) cells.back().push_back(with_interval(all.estimates[e][c.metric][c.column]));
  }
  print_blocks(out, heads, names, cells);
}

/// "undefined maps: grad-cam 12 of 480 (road-pgc 371)": where there are any.
void print_undefined(std::ostream& out, const MeasuredPage& page, const PageGroup& all) {
  std::vector<std::string> parts;
  for (size_t e = 0; e < page.plan.explainers.size(); ++e) {
    std::map<std::string, std::vector<std::string>> metrics;  // by "12 of 480"
    for (size_t m = 0; m < page.plan.metrics.size(); ++m)
      if (const MetricEstimate& one = all.estimates[e][m].front(); one.undefined > 0)
        metrics[str(one.undefined, " of ", one.undefined + one.scored)].push_back(page.plan.metrics[m]->name);
    for (const auto& [count, names] : metrics)
      parts.push_back(str(page.plan.explainers[e]->name, " ", count,
                          names.size() == page.plan.metrics.size() ? "" : " (" + join(names) + ")"));
  }
  if (!parts.empty())
    out << "  undefined, and left out (empty or flat maps; road-pgc: equal values): " << join(parts, "; ") << "\n";
}

/// The first column of every metric for groups of one kind: of each explainer, a group a row.
void print_groups(std::ostream& out, const MeasuredPage& page, const std::vector<PageGroup>& groups,
                  const std::string& kind) {
  std::vector<const PageGroup*> of_kind;
  for (const PageGroup& group : groups)
    if (group.kind == kind) of_kind.push_back(&group);
  if (of_kind.empty()) return;
  out << "\n  by " << kind;
  if (of_kind.size() * page.plan.explainers.size() > kMostGroupRows) {
    out << ": " << of_kind.size() << " groups, in --json and --csv\n";
    return;
  }
  out << ", without intervals (those are in --json and --csv)\n";
  std::vector<std::string> heads = {"images"}, names;
  std::vector<std::vector<std::string>> cells;
  const auto columns = columns_of(page.plan, true);
  for (const PageColumn& c : columns) heads.push_back(c.head);
  for (size_t e = 0; e < page.plan.explainers.size(); ++e)
    for (const PageGroup* group : of_kind) {
      names.push_back(str(page.plan.explainers[e]->name, ", ", group->name));
      cells.push_back({std::to_string(group->images.size())});
      for (const PageColumn& c : columns)
        cells.back().push_back(hundredths(group->estimates[e][c.metric][c.column].value));
    }
  print_blocks(out, heads, names, cells);
}

nlohmann::json estimates_json(const MeasuredPage& page, const PageGroup& group) {
  nlohmann::json json = nlohmann::json::object();
  for (size_t e = 0; e < page.plan.explainers.size(); ++e)
    for (size_t m = 0; m < page.plan.metrics.size(); ++m)
      for (size_t c = 0; c < page.plan.metrics[m]->columns.size(); ++c) {
        const MetricEstimate& one = group.estimates[e][m][c];
        object_in(json, page.plan.explainers[e]->name)[page.plan.metrics[m]->columns[c].name] = {
            {"value", number(one.value)},   {"low", number(one.low)}, {"high", number(one.high)},
            {"chance", number(one.chance)}, {"scored", one.scored},   {"undefined", one.undefined},
            {"without_box", one.unboxed}};
      }
  return json;
}

}  // namespace

void print_page(std::ostream& out, const MeasuredPage& page, const std::vector<PageGroup>& groups) {
  out << "  " << page.images() << " images, accuracy " << hundredths(page.accuracy())
      << " %; in percent: value [95 % interval over images], and chance where it is known; + more is better, - "
         "less\n\n";
  print_all(out, page, groups.front());
  print_undefined(out, page, groups.front());
  for (const char* kind : {"class", "source", "group"}) print_groups(out, page, groups, kind);
}

nlohmann::json page_json(const MeasuredPage& page, const std::vector<PageGroup>& groups) {
  nlohmann::json json = {{"images", page.images()},
                         {"planned_images", page.planned},
                         {"accuracy", number(page.accuracy())},
                         {"explainers", estimates_json(page, groups.front())}};
  for (const PageGroup& group : groups)
    if (!group.kind.empty())
      object_in(json, "by_" + group.kind)[group.name] = {{"images", group.images.size()},
                                                         {"explainers", estimates_json(page, group)}};
  return json;
}

std::string page_csv_head() {
  return "split,by,group,images,explainer,metric,value,low,high,chance,scored,undefined,without_box\n";
}

std::string page_csv(const std::string& split, const MeasuredPage& page, const std::vector<PageGroup>& groups) {
  std::string text;
  for (const PageGroup& group : groups)
    for (size_t e = 0; e < page.plan.explainers.size(); ++e)
      for (size_t m = 0; m < page.plan.metrics.size(); ++m)
        for (size_t c = 0; c < page.plan.metrics[m]->columns.size(); ++c) {
          const MetricEstimate& one = group.estimates[e][m][c];
          text += str(csv_text(split), ",", group.kind, ",", csv_text(group.name), ",", group.images.size(), ",",
                      page.plan.explainers[e]->name, ",", page.plan.metrics[m]->columns[c].name, ",",
                      csv_number(one.value), ",", csv_number(one.low), ",", csv_number(one.high), ",",
                      csv_number(one.chance), ",", one.scored, ",", one.undefined, ",", one.unboxed, "\n");
        }
  return text;
}

}  // namespace boxcam
