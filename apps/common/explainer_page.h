// One page of explainers by metrics: what evaluate prints and writes where --explainers or --metrics are given.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>

#include "apps/common/data/data.h"
#include "apps/common/json.h"
#include "apps/common/method.h"
#include "apps/common/options/table.h"
#include "xai/cam_metrics.h"
#include "xai/metric_estimates.h"

namespace boxcam {

struct PageOptions {
  std::vector<const Explainer*> explainers;  ///< empty, as below: settle_page says
  std::vector<const CamMetric*> metrics;
  std::string csv;
  uint64_t seed = 0;

  bool asked() const { return !explainers.empty() || !metrics.empty(); }
};

void declare_page(OptionTable& table, PageOptions& options);

/// What is on a page: without explainers the one that is explained with anyway, without metrics those that need no
/// forward pass of their own.
struct PagePlan {
  std::vector<const Explainer*> explainers;
  std::vector<const CamMetric*> metrics;
};
/// Refuses, with the option's name, what only makes sense with a page, and --explainer beside --explainers.
void check_page_options(const OptionTable& table, const PageOptions& options);
PagePlan settle_page(const PageOptions& options, const ExplainOptions& explain);

/// What was measured of a split, image by image.
struct MeasuredPage {
  PagePlan plan;
  int64_t batch = 0, planned = 0;  ///< images: of a batch, and of the split
  std::vector<int32_t> labels, predicted;
  std::vector<std::string> sources;
  std::vector<std::vector<MetricScores>> scores;  ///< [explainer][metric]

  int64_t images() const { return std::ssize(labels); }
  bool whole() const { return images() == planned; }
  double accuracy() const;
};

/// Eval mode. Of each batch the forward pass is computed once, for all explainers. `stop` is asked between the passes
/// of a metric; a batch that was begun then is left out for every explainer.
MeasuredPage measure_page(Classifier& model, const DataSplit& split, const DataOptions& data,
                          const ExplainOptions& explain, const Measuring& measuring, const PagePlan& plan,
                          uint64_t seed, const std::function<bool()>& stop = {});

/// Some images of a page, and what every explainer gets for them.
struct PageGroup {
  std::string kind, name;  ///< "class", "source", "group"; all images: "" for both
  std::vector<int32_t> images;
  std::vector<std::vector<std::vector<MetricEstimate>>> estimates;  ///< [explainer][metric][column]
};
/// All images first; then by class, by source where there are sources, and by both together ("ship, sea").
std::vector<PageGroup> page_groups(const MeasuredPage& page, const std::vector<std::string>& classes, uint64_t seed);

void print_page(std::ostream& out, const MeasuredPage& page, const std::vector<PageGroup>& groups);
nlohmann::json page_json(const MeasuredPage& page, const std::vector<PageGroup>& groups);
/// A line for each split, group, explainer and column; page_csv_head names what is in it.
std::string page_csv(const std::string& split, const MeasuredPage& page, const std::vector<PageGroup>& groups);
std::string page_csv_head();

}  // namespace boxcam
