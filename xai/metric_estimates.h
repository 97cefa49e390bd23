// From the scores of images to the numbers of a table: values, and intervals from bootstrap samples of the images.
#pragma once

#include "xai/cam_metrics.h"

namespace boxcam {

/// One column of a metric over a set of images.
struct MetricEstimate {
  double value, low, high;  ///< low, high: the 2.5th and 97.5th percentile over bootstrap samples; NaN without images
  double chance;            ///< NaN where there is no closed form
  int64_t scored, undefined, unboxed;  ///< images
};

/// A metric and what it made of the images, the same images in the same order for all that are estimated together.
struct MeasuredMetric {
  const CamMetric* metric;
  const MetricScores* scores;
};

struct Bootstrap {
  uint64_t seed = 0;
  std::string stream = "bootstrap";  ///< of random numbers
  int samples = 1000;
};

/// The value below which a share of the others lies, in a straight line between ranks; NaN are left out, and is what
/// none give.
double quantile(std::vector<double> values, double share);

/// For each of `measured`, one for each of its columns, of these images. A bootstrap sample draws as many of them, with
/// replacement, and is the same for everything that is estimated together, so that columns can be compared; `batch` of
/// those drawn make a batch where a column asks for batches. The same numbers whatever the number of threads.
std::vector<std::vector<MetricEstimate>> estimate(const std::vector<MeasuredMetric>& measured,
                                                  const std::vector<int32_t>& images, int64_t batch,
                                                  const Bootstrap& bootstrap = {});

}  // namespace boxcam
