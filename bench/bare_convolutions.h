// How long oneDNN's own convolutions take, without anything around them: the limit of ours.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace boxcam::bench {

/// One of ResNet-50's convolutions, or several alike.
struct Convolution {
  std::string name;  ///< of the first: "layer1.0.conv2"
  Shape x, w, y;
  Conv2dSpec spec;
  int count = 1;
  double flops() const { return 2.0 * static_cast<double>(w.numel() * y.numel() / w[0]); }  ///< of one, direct
  bool is_first() const { return x[3] == 3; }  ///< of the network: training needs no gradient of its input
};

inline const std::vector<std::string> kConvolutionKinds = {"forward", "input_grad", "weight_grad"};

/// The distinct convolutions of ResNet-50 at 224 px.
std::vector<Convolution> resnet50_convolutions(int64_t batch);

/// The kernel of a kind, as a call that repeats.
std::function<void()> convolution_call(const Convolution& c, const std::string& kind);

/// Seconds, the shortest of several runs: the primitive, and the reorders of its operands that our kernel adds.
struct BareTime {
  double primitive = 1e30, reorders = 1e30;
};

/// By "layer1.0.conv2/forward", for "direct" or "auto" convolutions. Only engine/backend/cpu may include oneDNN's
/// headers, so this program runs itself once more with DNNL_VERBOSE=1, which makes oneDNN print the time of every
/// primitive. Empty without oneDNN. Throws Error when the output has no convolution where one was run.
std::map<std::string, BareTime> bare_times(const std::string& algorithm);

/// What that second run does instead of benchmarks.
void run_bare_convolutions(const std::string& algorithm);
inline constexpr const char* kBareOption = "--bare-convolutions=";

}  // namespace boxcam::bench
