#include "bench/bare_convolutions.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "bench/machine.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kBatch = 16;
constexpr int kRuns = 5;
const std::string kMark = "boxcam ";  // begins the line in front of what oneDNN prints of one run

}  // namespace

std::vector<Convolution> resnet50_convolutions(int64_t batch) {
  std::vector<Convolution> list;
  const auto add_one = [&](const std::string& name, int64_t size, int64_t in, int64_t out, int64_t kernel,
                           int64_t stride) {
    const Convolution c{name,
                        {batch, size, size, in},
                        {out, kernel, kernel, in},
                        {batch, size / stride, size / stride, out},
                        {stride, kernel / 2}};
    for (Convolution& known : list)
      if (known.x == c.x && known.w == c.w && known.y == c.y) return void(++known.count);
    list.push_back(c);
  };
  add_one("conv1", 224, 3, 64, 7, 2);
  int64_t size = 56, channels = 64;
  const int64_t depths[] = {3, 4, 6, 3};
  for (int64_t stage = 0; stage < 4; ++stage)
    for (int64_t block = 0; block < depths[stage]; ++block) {
      const std::string name = str("layer", stage + 1, ".", block);
      const int64_t width = 64 << stage, stride = block == 0 && stage > 0 ? 2 : 1;
      add_one(name + ".conv1", size, channels, width, 1, 1);
      add_one(name + ".conv2", size, width, width, 3, stride);
      add_one(name + ".conv3", size / stride, width, 4 * width, 1, 1);
      if (block == 0) add_one(name + ".downsample", size, channels, 4 * width, 1, stride);
      size /= stride;
      channels = 4 * width;
    }
  return list;
}

std::function<void()> convolution_call(const Convolution& c, const std::string& kind) {
  const Tensor x = uniform(c.x, -1, 1), w = uniform(c.w, -1, 1), y = uniform(c.y, -1, 1);
  if (kind == "forward") return [=] { conv2d(x, w, c.spec); };
  if (kind == "input_grad") return [=] { conv2d_input_grad(y, w, c.x, c.spec); };
  return [=] { conv2d_weight_grad(x, y, c.w, c.spec); };
}

void run_bare_convolutions(const std::string& algorithm) {
  set_setting(&Settings::conv_algorithm, algorithm == "direct" ? ConvAlgorithm::direct : ConvAlgorithm::automatic);
  for (const Convolution& c : resnet50_convolutions(kBatch))
    for (const std::string& kind : kConvolutionKinds) {
      if (kind == "input_grad" && c.is_first()) continue;
      const auto call = convolution_call(c, kind);
      for (int i = 0; i <= kRuns; ++i) {  // the first one warms up
        std::printf("%s%s/%s\n", kMark.c_str(), c.name.c_str(), kind.c_str());
        call();
      }
    }
}

std::map<std::string, BareTime> bare_times(const std::string& algorithm) {
  if (onednn_version() == "none") return {};
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = "DNNL_VERBOSE=1 '" + self + "' " + kBareOption + algorithm;
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command.c_str(), "r"), pclose);
  check(output != nullptr, "cannot run ", command);

  std::map<std::string, BareTime> times;
  std::string name;
  BareTime run;
  const auto finish = [&] {
    if (name.empty()) return;
    check(run.primitive > 0, command, ": oneDNN printed no time of a convolution for ", name);
    BareTime& best = times[name];
    best = {std::min(best.primitive, run.primitive), std::min(best.reorders, run.reorders)};
  };
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, output.get())) {
    const std::string line(buffer, std::strcspn(buffer, "\n"));
    if (line.starts_with(kMark)) {
      finish();
      name = line.substr(kMark.size());
      run = {0, 0};
    } else if (line.find("_verbose,") != std::string::npos && line.find(",exec,") != std::string::npos) {
      // onednn_verbose,exec,cpu,convolution,jit:avx512_core,forward_training,...,milliseconds
      const double seconds = std::stod(line.substr(line.rfind(',') + 1)) / 1e3;
      (line.find(",convolution,") != std::string::npos ? run.primitive : run.reorders) += seconds;
    }
  }
  finish();
  return times;
}

}  // namespace boxcam::bench
