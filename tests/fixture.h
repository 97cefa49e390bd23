// Parity with PyTorch: reads what fixtures/make_parity_fixtures.py wrote, and repeats its weights, inputs and summaries
// from the same counters (fixtures/parity_kit/numbers.py).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "models/resnet.h"
#include "nn/data/dataset.h"
#include "nn/files/safetensors.h"

namespace boxcam {

/// Where the parity tests compute: on the device that BOXCAM_TEST_DEVICE names, cpu or cuda; the CPU without it.
inline Device test_device() {
  const char* variable = std::getenv("BOXCAM_TEST_DEVICE");
  const std::string wanted = variable ? variable : "cpu";
  check(wanted == "cpu" || wanted == "cuda", "BOXCAM_TEST_DEVICE must be cpu or cuda, found '", wanted, "'");
  return wanted == "cuda" ? Device::cuda : Device::cpu;
}

/// One file under fixtures/parity: tensors, and metadata in JSON ("cases", "names", "seed", "classes").
class Fixture {
 public:
  explicit Fixture(const std::string& name)
      : file_(read_safetensors(std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/parity/" + name)),
        metadata_(nlohmann::json::parse(file_.metadata.at("fixture"))) {}

  const nlohmann::json& json(const std::string& key) const { return metadata_.at(key); }
  uint64_t seed() const { return json("seed"); }
  int64_t classes() const { return json("classes"); }
  const Tensor& tensor(const std::string& name) const { return file_.at(name).tensor; }
  std::vector<double> values(const std::string& name) const { return tensor(name).to_vector(); }

 private:
  TensorFile file_;
  nlohmann::json metadata_;
};

// ---- the same numbers as in Python ----------------------------------------------------------------------------------

/// The values of a model's tensor in torchvision's order (convolution weights OIHW; ours are OHWI).
inline std::vector<double> torchvision_order(const NamedTensor& named, const Tensor& values) {
  const std::vector<double> own = values.to_vector();
  if (!(named.layout == NamedTensor::Layout::convolution)) return own;
  const int64_t out = values.dim(0), window = values.dim(1) * values.dim(2), in = values.dim(3);
  std::vector<double> result(own.size());
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < window; ++k)
      for (int64_t i = 0; i < in; ++i) result[(o * in + i) * window + k] = own[(o * window + k) * in + i];
  return result;
}

/// Fills a tensor of a model by its name: see value_of in numbers.py.
inline void fill(const NamedTensor& named, uint64_t seed) {
  Tensor target = named.tensor;
  const std::string& name = named.name;
  if (name.ends_with("num_batches_tracked")) return target.copy_from(Tensor::zeros(target.shape(), target.dtype()));
  double low = -0.3, high = 0.3;
  if ((named.layout == NamedTensor::Layout::convolution)) {
    high = std::sqrt(3.0 / static_cast<double>(target.numel() / target.dim(0)));
    low = -high;
  } else if (name.starts_with("fc.")) {
    low = -0.1, high = 0.1;
  } else if (name.ends_with("running_var") || name.ends_with(".weight")) {
    low = 0.5, high = 1.5;
  }
  Random random(seed, stream_of(name));
  std::vector<double> values(target.numel());
  if (!(named.layout == NamedTensor::Layout::convolution)) {
    for (double& v : values) v = random.uniform(low, high);
  } else {
    const int64_t out = target.dim(0), window = target.dim(1) * target.dim(2), in = target.dim(3);
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        for (int64_t k = 0; k < window; ++k) values[(o * window + k) * in + i] = random.uniform(low, high);
  }
  target.copy_from(Tensor::from(target.shape(), values).to(target.dtype()));
}

inline ResNet filled_resnet(const std::string& name, const Fixture& fixture, DType dtype) {
  ResNet model(resnet_config(name), fixture.classes(), dtype);
  for (const NamedTensor& named : model.named_tensors()) fill(named, fixture.seed());
  move_to(test_device(), model.named_tensors());
  return model;
}

/// [N, S, S, 3]: coarse squares of 8 pixels with noise over them.
inline Tensor filled_images(int64_t batch, int64_t size, DType dtype, uint64_t seed) {
  const int64_t cell = 8, cells = (size + cell - 1) / cell;
  Random coarse_stream(seed, stream_of("input/coarse")), fine(seed, stream_of("input/fine"));
  std::vector<double> coarse(batch * cells * cells * 3), values;
  for (double& v : coarse) v = coarse_stream.uniform(-1, 1);
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t y = 0; y < size; ++y)
      for (int64_t x = 0; x < size; ++x)
        for (int64_t c = 0; c < 3; ++c) {
          const int64_t square = (n * cells + y / cell) * cells + x / cell;
          values.push_back(2.0 * coarse[square * 3 + c] + 0.5 * fine.uniform(-1, 1));
        }
  return Tensor::from({batch, size, size, 3}, values).to(dtype).to(test_device());
}

/// Of each image, in pixels; the table's rows are (image, x_min, y_min, x_max, y_max).
inline std::vector<std::vector<Box>> boxes_of(const Tensor& table, int64_t batch) {
  std::vector<std::vector<Box>> boxes(batch);
  for (int64_t i = 0; i < table.dim(0); ++i) {
    const double* row = table.data<double>() + 5 * i;
    boxes.at(static_cast<size_t>(row[0])).push_back({row[1], row[2], row[3], row[4]});
  }
  return boxes;
}

inline Tensor filled_labels(int64_t batch, const Fixture& fixture) {
  Random random(fixture.seed(), stream_of("labels"));
  std::vector<int32_t> labels(batch);
  for (int32_t& label : labels) label = static_cast<int32_t>(random.below(fixture.classes()));
  return Tensor::from({batch}, labels).to(test_device());
}

// ---- comparison -----------------------------------------------------------------------------------------------------

/// A tensor's norm and its products with 16 seeded vectors of signs. For a difference d of two tensors the mean square
/// of the differences of their products is an unbiased estimate of |d|^2 (for signs r, E <d, r>^2 = |d|^2) with a
/// relative standard deviation of at most sqrt(2 / 16), so that of |d| is about 18 %.
struct Summary {
  static constexpr int kProducts = 16;
  double norm = 0;
  std::array<double, kProducts> products{};
};

inline Summary summarise(const std::string& name, const std::vector<double>& values, uint64_t seed) {
  Random random(seed, stream_of("projection/" + name));
  Summary s;
  for (const double v : values) {
    const uint32_t word = random.next();  // bit k is the sign in vector k
    for (int k = 0; k < Summary::kProducts; ++k) s.products[k] += (word >> k & 1) ? -v : v;
    s.norm += v * v;
  }
  s.norm = std::sqrt(s.norm);
  return s;
}

/// Row `row` of a table of summaries [rows, 17].
inline Summary summary_at(const Tensor& table, int64_t row) {
  const double* values = table.data<double>() + row * (1 + Summary::kProducts);
  Summary s{values[0], {}};
  std::copy_n(values + 1, Summary::kProducts, s.products.begin());
  return s;
}

/// The estimate of |a - b|; never less than the difference of the norms, which is a lower bound of it.
inline double distance(const Summary& a, const Summary& b) {
  double square = 0;
  for (int k = 0; k < Summary::kProducts; ++k) square += std::pow(a.products[k] - b.products[k], 2);
  return std::max(std::sqrt(square / Summary::kProducts), std::abs(a.norm - b.norm));
}

inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double square = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) square += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(square);
}

inline double norm(const std::vector<double>& a) { return distance(a, std::vector<double>(a.size())); }

inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

/// Named tensors against a table whose rows have `names`: calls compare(row, name, ours, theirs, |all rows|) for each
/// and expects the two sets of names to be equal. `tensors` belong to `named`, one each.
template <class Compare>
void for_each_row(const std::vector<NamedTensor>& named, const std::vector<Tensor>& tensors,
                  const std::vector<std::string>& names, const Tensor& table, uint64_t seed, Compare compare) {
  ASSERT_EQ(named.size(), names.size());
  ASSERT_EQ(named.size(), tensors.size());
  std::map<std::string, int64_t> row_of;
  double total = 0;
  for (const std::string& name : names) {
    const int64_t row = static_cast<int64_t>(row_of.size());
    row_of[name] = row;
    total = std::hypot(total, summary_at(table, row).norm);
  }
  for (size_t i = 0; i < named.size(); ++i) {
    ASSERT_TRUE(row_of.contains(named[i].name)) << named[i].name << " is not in PyTorch's model";
    const int64_t row = row_of[named[i].name];
    const std::vector<double> values = torchvision_order(named[i], tensors[i]);
    compare(row, named[i].name, summarise(named[i].name, values, seed), summary_at(table, row), total);
  }
}

/// Expects every tensor within `tolerance` of PyTorch's, relative to its norm, and returns the largest error. A tensor
/// that is zero but for rounding is measured against a millionth of the norm of all.
inline double worst_of_rows(const std::vector<NamedTensor>& named, const std::vector<Tensor>& tensors,
                            const std::vector<std::string>& names, const Tensor& table, uint64_t seed,
                            double tolerance) {
  double worst = 0;
  for_each_row(named, tensors, names, table, seed,
               [&](int64_t, const std::string& name, const Summary& ours, const Summary& theirs, double total) {
                 const double error = distance(ours, theirs) / std::max(theirs.norm, 1e-6 * total);
                 EXPECT_LE(error, tolerance) << name << ": norm " << ours.norm << ", PyTorch's " << theirs.norm;
                 worst = std::max(worst, error);
               });
  return worst;
}

inline void print_worst(const std::string& what, double worst, double tolerance) {
  std::printf("    %s: worst relative error %.1e, %.2g %% of the tolerance\n", what.c_str(), worst,
              100 * worst / tolerance);
}

inline void expect_rows(const std::vector<NamedTensor>& named, const std::vector<Tensor>& tensors,
                        const std::vector<std::string>& names, const Tensor& table, uint64_t seed, double tolerance) {
  const double worst = worst_of_rows(named, tensors, names, table, seed, tolerance);
  print_worst(str(named.size(), " tensors"), worst, tolerance);
}

/// The model's parameters, or its running statistics without the counters.
inline std::vector<NamedTensor> parameters_of(const Classifier& model) {
  return only_parameters(model.named_tensors());
}
inline std::vector<NamedTensor> statistics_of(const Classifier& model) {
  std::vector<NamedTensor> result = model.named_tensors();
  std::erase_if(result, [](const NamedTensor& t) { return t.role != NamedTensor::Role::buffer; });
  return result;
}
inline std::vector<Tensor> tensors_of(const std::vector<NamedTensor>& named) {
  std::vector<Tensor> result;
  for (const NamedTensor& t : named) result.push_back(t.tensor);
  return result;
}

}  // namespace boxcam
