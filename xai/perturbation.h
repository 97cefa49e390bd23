// Metrics that change the picture by the map and look at what the network then says: the functions of rows of the table
// in xai/cam_metrics.cpp, and what they are made of.
#pragma once

#include "xai/cam_metrics.h"

namespace boxcam {

/// max(0, y - y') / (y + 1e-7) and max(0, y - y'), with y' the probability in x C.
bool drop(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);
bool increase(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);  ///< whether y' > y
/// The area under the curve: RISE's and torch-cam's profile.
bool insertion(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);
bool deletion(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);
/// (LeRF - MoRF) / 2, MoRF, LeRF, and chance.
bool road(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);
bool road_pgc(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows);

/// RISE's blur along one axis: a Gaussian of 5 pixels, filtered on 11 cells with reflecting edges, as SciPy does.
std::vector<double> rise_kernel();
/// x [N, H, W, C] on the CPU, with zeros around it.
Tensor rise_blur(const Tensor& x);

/// pytorch-grad-cam's removal: 1 where a map is at least its `percent`-th percentile (linear between ranks, as NumPy).
std::vector<char> removed_by_percentile(std::span<const double> map, double percent);

}  // namespace boxcam
