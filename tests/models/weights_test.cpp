#include "models/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

using Names = std::vector<std::string>;

// --- Loading ---------------------------------------------------------------------------------------------------------

// A convolution, its batch norm, a deeper block and a head.
std::vector<NamedTensor> small_model(int64_t classes, DType dtype = DType::f32) {
  const auto values = [&](const Shape& shape) { return Tensor::full(shape, -7, dtype); };
  using Role = NamedTensor::Role;
  using Layout = NamedTensor::Layout;
  return {{"conv1.weight", values({2, 2, 3, 4}), Role::parameter, Layout::convolution},
          {"bn1.weight", values({2})},
          {"bn1.running_mean", values({2}), Role::buffer},
          {"bn1.num_batches_tracked", Tensor::zeros({}, DType::i32), Role::counter},
          {"layer1.0.conv1.weight", values({3, 1, 1, 2}), Role::parameter, Layout::convolution},
          {"layer10.weight", values({1})},
          {"fc.weight", values({classes, 3}), Role::parameter, Layout::plain, true},
          {"fc.bias", values({classes}), Role::parameter, Layout::plain, true}};
}

// The tensors of a file that fits small_model(5): the values are 0, 1, 2, ... in the file's layout.
TensorFile small_file() {
  TensorFile file;
  file.path = "small.pth";
  const std::pair<const char*, Shape> entries[] = {
      {"fc.weight", {5, 3}},   {"fc.bias", {5}},          {"conv1.weight", {2, 4, 2, 3}},         {"bn1.weight", {2}},
      {"layer10.weight", {1}}, {"bn1.running_mean", {2}}, {"layer1.0.conv1.weight", {3, 2, 1, 1}}};
  for (const auto& [name, shape] : entries) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    file.tensors.emplace_back(name, Tensor::from(shape, values));
  }
  file.tensors.emplace_back("bn1.num_batches_tracked", Shape{}, std::vector<int64_t>{12});
  return file;
}

void remove(TensorFile& file, const std::string& name) {
  std::erase_if(file.tensors, [&](const FileTensor& entry) { return entry.name == name; });
}

Tensor tensor_in(const std::vector<NamedTensor>& model, const std::string& name) {
  return std::find_if(model.begin(), model.end(), [&](const NamedTensor& t) { return t.name == name; })->tensor;
}

void expect_untouched(const std::vector<NamedTensor>& model) {
  for (const NamedTensor& entry : model)
    for (const double value : entry.tensor.to_vector()) EXPECT_EQ(value, entry.tensor.ndim() ? -7 : 0) << entry.name;
}

TEST(LoadWeights, ByNameWithConvolutionsTurned) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto model = small_model(5, dtype);
    const LoadReport report = load_weights(model, small_file());
    EXPECT_EQ(report.loaded.size(), model.size());
    EXPECT_TRUE(report.started_fresh.empty());
    const std::vector<double> weight = tensor_in(model, "conv1.weight").to_vector();
    for (int o = 0; o < 2; ++o)
      for (int i = 0; i < 4; ++i)
        for (int y = 0; y < 2; ++y)
          for (int x = 0; x < 3; ++x) EXPECT_EQ(weight[((o * 2 + y) * 3 + x) * 4 + i], ((o * 4 + i) * 2 + y) * 3 + x);
    EXPECT_EQ(tensor_in(model, "fc.bias").to_vector(), (std::vector<double>{0, 1, 2, 3, 4}));
    EXPECT_EQ(tensor_in(model, "bn1.num_batches_tracked").item(), 12);
    EXPECT_EQ(summary(report), "8 tensors were loaded from small.pth");
  }
}

TEST(LoadWeights, ReplacesOnlyAHeadForOtherClasses) {
  const auto model = small_model(4);
  const LoadReport report = load_weights(model, small_file());
  EXPECT_EQ(report.started_fresh, (Names{"fc.weight", "fc.bias"}));
  EXPECT_EQ(report.mis_shaped, (Names{"fc.weight (file [5, 3], model [4, 3])", "fc.bias (file [5], model [4])"}));
  EXPECT_EQ(tensor_in(model, "fc.bias").to_vector(), (std::vector<double>(4, -7)));
  EXPECT_EQ(tensor_in(model, "bn1.weight").to_vector(), (std::vector<double>{0, 1}));
  EXPECT_NE(summary(report).find("head"), std::string::npos);

  const auto other = small_model(4);
  expect_error([&] { load_weights(other, small_file(), {{}, false}); }, {"fc.weight (file [5, 3], model [4, 3])"});
  expect_untouched(other);
}

TEST(LoadWeights, ListsAllThatDoesNotFitAndCopiesNothing) {
  TensorFile file = small_file();
  remove(file, "bn1.weight");
  remove(file, "conv1.weight");
  file.tensors.emplace_back("conv1.weight", Tensor::zeros({2, 2, 3, 4}));
  file.tensors.emplace_back("layer5.bias", Tensor::zeros({2}));
  remove(file, "bn1.running_mean");
  file.tensors.emplace_back("bn1.running_mean", Tensor::zeros({2}, DType::i32));
  const auto model = small_model(5);
  expect_error([&] { load_weights(model, file); },
               {"small.pth does not fit the model", "1 of the model's 8 tensors missing in the file: bn1.weight",
                "1 unexpected in the file: layer5.bias", "conv1.weight (file [2, 2, 3, 4], model [2, 4, 2, 3])",
                "another kind of number: bn1.running_mean"});
  expect_untouched(model);

  TensorFile other;
  other.path = "other.pth";
  for (int i = 0; i < 20; ++i) other.tensors.emplace_back(str("features.", i), Tensor::zeros({1}));
  expect_error([&] { load_weights(model, other); },
               {"other.pth belongs to another model", "20 unexpected", "features.7 and 12 more"});
  expect_untouched(model);
}

TEST(LoadWeights, PartsMayBeMissingOnlyWhenAskedFor) {
  TensorFile file = small_file();
  remove(file, "layer1.0.conv1.weight");
  remove(file, "fc.weight");
  remove(file, "fc.bias");
  remove(file, "bn1.num_batches_tracked");
  const auto model = small_model(5);
  expect_error([&] { load_weights(model, file); }, {"layer1.0.conv1.weight, fc.weight, fc.bias"});
  expect_error([&] { load_weights(model, file, {{"layer1"}}); }, {"missing in the file: fc.weight, fc.bias"});
  expect_untouched(model);

  const LoadReport report = load_weights(model, file, {{"layer1", "fc"}});
  EXPECT_EQ(report.started_fresh, (Names{"layer1.0.conv1.weight", "fc.weight", "fc.bias"}));
  EXPECT_EQ(report.loaded, (Names{"conv1.weight", "bn1.weight", "bn1.running_mean", "layer10.weight"}));
  EXPECT_NE(summary(report).find("3 started fresh (layer1.0.conv1.weight"), std::string::npos) << summary(report);

  remove(file, "layer10.weight");
  expect_error([&] { load_weights(model, file, {{"layer1", "fc"}}); }, {"missing in the file: layer10.weight"});
  expect_error([&] { load_weights(model, file, {{"layer2", "fc"}}); }, {"'layer2'", "did you mean layer1"});
}

TEST(LoadWeights, BatchCountersMayComeAndGo) {
  auto model = small_model(5);
  TensorFile file = small_file();
  std::erase_if(model, [](const NamedTensor& entry) { return entry.name == "bn1.num_batches_tracked"; });
  EXPECT_EQ(load_weights(model, file).unexpected, (Names{"bn1.num_batches_tracked"}));

  remove(file, "bn1.num_batches_tracked");
  file.tensors.emplace_back("bn1.num_batches_tracked", Shape{}, std::vector<int64_t>{int64_t{1} << 40});
  expect_error([&] { load_weights(small_model(5), file); }, {"another kind of number: bn1.num_batches_tracked"});
}

TEST(ExportWeights, RoundTripsThroughAFileInTorchvisionsLayout) {
  const TemporaryFolder folder;
  const auto model = small_model(5);
  load_weights(model, small_file());
  const TensorFile exported = export_weights(model);
  EXPECT_EQ(exported.at("conv1.weight").shape(), (Shape{2, 4, 2, 3}));
  EXPECT_EQ(exported.at("conv1.weight").tensor.to_vector(), small_file().at("conv1.weight").tensor.to_vector());
  EXPECT_EQ(exported.int64_at("bn1.num_batches_tracked"), 12);
  tensor_in(model, "bn1.weight").copy_from(Tensor::zeros({2}));
  EXPECT_EQ(exported.at("bn1.weight").tensor.to_vector(), (std::vector<double>{0, 1}));  // a copy, not a view

  write_safetensors(folder / "model.safetensors", exported);
  const auto again = small_model(5);
  EXPECT_EQ(load_weights(again, read_safetensors(folder / "model.safetensors")).loaded.size(), again.size());
  EXPECT_EQ(tensor_in(again, "conv1.weight").to_vector(), tensor_in(model, "conv1.weight").to_vector());
}

}  // namespace
}  // namespace boxcam
