// ResNets against torchvision: same weights, same input (fixtures/make_parity_fixtures.py).
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/base/sha256.h"
#include "models/models.h"
#include "models/weights.h"
#include "tests/fixture.h"

namespace boxcam {
namespace {

struct Step {
  Tensor logits, loss;
  std::vector<Tensor> gradients;  ///< of parameters_of(model)
};

Tensor images_of(const nlohmann::json& setup, const Fixture& fixture, DType dtype) {
  return filled_images(setup["batch"], setup["size"], dtype, fixture.seed());
}

Step cross_entropy_step(ResNet& model, const Tensor& images, const nlohmann::json& setup, const Fixture& fixture) {
  const bool train = setup["mode"] == "train";
  const Forward forward = model.forward(images, {train ? Mode::train : Mode::eval, train});
  const Tensor loss = cross_entropy(forward.logits, filled_labels(setup["batch"], fixture));
  return {forward.logits, loss, grad({loss}, tensors_of(parameters_of(model)))};
}

double relative_error(const std::vector<double>& ours, const std::vector<double>& theirs) {
  return distance(ours, theirs) / norm(theirs);
}

/// One test for each case of a file.
class Parity : public testing::TestWithParam<const char*> {
 protected:
  nlohmann::json find(const Fixture& fixture) const {
    for (const nlohmann::json& c : fixture.json("cases"))
      if (c["case"] == GetParam()) return c;
    ADD_FAILURE() << "the fixture has no case " << GetParam();
    return {};
  }
};
std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
}

class ParityF64 : public Parity {};

TEST_P(ParityF64, LogitsGradientsAndRunningStatistics) {
  const Fixture fixture("resnet_f64.safetensors");
  const nlohmann::json setup = find(fixture), names = fixture.json("names")[setup["model"]];
  const std::string key = setup["case"];
  ResNet model = filled_resnet(setup["model"], fixture, DType::f64);
  const Step step = cross_entropy_step(model, images_of(setup, fixture, DType::f64), setup, fixture);

  EXPECT_LE(relative_error(step.logits.to_vector(), fixture.values(key + "/logits")), 1e-6);
  EXPECT_LE(relative_error(step.loss.to_vector(), fixture.values(key + "/loss")), 1e-6);
  expect_rows(parameters_of(model), step.gradients, names["parameters"], fixture.tensor(key + "/gradients"),
              fixture.seed(), 1e-6);
  if (setup["mode"] == "train") {
    const auto statistics = statistics_of(model);
    expect_rows(statistics, tensors_of(statistics), names["statistics"], fixture.tensor(key + "/statistics"),
                fixture.seed(), 1e-6);
  }
  if (key != "resnet-mini/train") return;

  const Fixture whole("resnet_mini_whole.safetensors");
  const auto expect_whole = [&](const std::string& prefix, const NamedTensor& named, const Tensor& ours) {
    EXPECT_LE(relative_error(torchvision_order(named, ours), whole.values(prefix + named.name)), 1e-6) << named.name;
  };
  const auto parameters = parameters_of(model);
  for (size_t i = 0; i < parameters.size(); ++i) expect_whole("gradient/", parameters[i], step.gradients[i]);
  for (const NamedTensor& named : statistics_of(model)) expect_whole("statistics/", named, named.tensor);
}

INSTANTIATE_TEST_SUITE_P(Torchvision, ParityF64,
                         testing::Values("resnet18/eval", "resnet18/train", "resnet50/eval", "resnet50/train",
                                         "resnet50-v1/eval", "resnet50-v1/train", "resnet-mini/eval",
                                         "resnet-mini/train"),
                         test_name);

class ParityF32 : public Parity {};

/// Every value moved by at most one unit in its last place, so that all that follows rounds otherwise.
Tensor nudged(const Tensor& x, uint64_t seed) {
  Random random(seed, stream_of("nudge"));
  std::vector<double> values = x.to_vector();
  for (double& v : values) v *= 1 + random.uniform(-0x1p-23, 0x1p-23);
  return Tensor::from(x.shape(), values).to(x.dtype()).to(test_device());
}

// A gradient in f32 is far from the truth where rounding turns a ReLU or a max-pool choice over, in PyTorch too, now on
// this run and now on that; so its distance to the truth is compared with the largest of several runs of PyTorch. Where
// a processor's rounding meets a gate that none of those runs met, a nudged input decides: rounding goes away, a fault
// does not. Distances of a millionth of the norm, eight units in the last place, are rounding however it is done: there
// the ratio says little, and its estimate (see Summary) less.
TEST_P(ParityF32, AsCloseToTheTruthAsPyTorch) {
  const Fixture fixture("resnet_f32.safetensors");
  const nlohmann::json setup = find(fixture), names = fixture.json("names")[setup["model"]];
  const std::string key = setup["case"];
  const std::vector<double> pytorch = fixture.values(key + "/distance");

  constexpr uint64_t kAttempts = 8;
  std::string too_far;
  for (uint64_t attempt = 0; attempt < kAttempts && (attempt == 0 || !too_far.empty()); ++attempt) {
    ResNet model = filled_resnet(setup["model"], fixture, DType::f32);
    const Tensor images = images_of(setup, fixture, DType::f32);
    const Step step = cross_entropy_step(model, attempt == 0 ? images : nudged(images, attempt), setup, fixture);
    EXPECT_LE(relative_error(step.logits.to_vector(), fixture.values(key + "/logits")), 1e-4);

    too_far.clear();
    std::vector<double> ratios, errors;
    for_each_row(parameters_of(model), step.gradients, names["parameters"], fixture.tensor(key + "/gradients"),
                 fixture.seed(),
                 [&](int64_t row, const std::string& name, const Summary& ours, const Summary& truth, double) {
                   const double own = distance(ours, truth);
                   if (!(own <= std::max(3 * pytorch[row], 1e-6 * truth.norm)))
                     too_far += str("\n", name, ": ", own, " of ", truth.norm, ", PyTorch's ", pytorch[row]);
                   ratios.push_back(own / pytorch[row]);
                   errors.push_back(own / truth.norm);
                 });
    std::sort(ratios.begin(), ratios.end());
    std::sort(errors.begin(), errors.end());
    std::printf("    distance to the truth: median %.1e, worst %.1e; of PyTorch's: median %.2f, worst %.2f\n",
                errors.at(errors.size() / 2), errors.back(), ratios[ratios.size() / 2], ratios.back());
  }
  EXPECT_EQ(too_far, "");
}

INSTANTIATE_TEST_SUITE_P(Torchvision, ParityF32,
                         testing::Values("resnet18/eval", "resnet18/train", "resnet50/eval", "resnet50/train",
                                         "resnet-mini/eval", "resnet-mini/train"),
                         test_name);

// ---- files both ways ------------------------------------------------------------------------------------------------

/// SHA-256 over a file's entries in its order: "<name> <dtype> <shape>", a newline and the bytes of each.
std::string digest_of(const TensorFile& file, const std::string& scratch) {
  std::ofstream out(scratch, std::ios::binary);
  for (const FileTensor& t : file.tensors) {
    out << t.name
        << (t.is_int64()                     ? " int64 "
            : t.tensor.dtype() == DType::f32 ? " float32 "
                                             : " other ")
        << t.shape() << "\n";
    const char* bytes = reinterpret_cast<const char*>(t.int64.data());
    if (!t.is_int64()) bytes = static_cast<const char*>(t.tensor.raw_data());
    out.write(bytes, static_cast<std::streamsize>(t.is_int64() ? t.int64.size() * 8 : t.tensor.bytes()));
  }
  out.close();
  return sha256_of_file(scratch);
}

class ParityFiles : public Parity {};

// The exported file holds exactly what PyTorch's state_dict does: names, order, types, shapes and bytes. Reading it is
// reading PyTorch's.
TEST_P(ParityFiles, AnExportedModelIsTorchvisionsStateDict) {
  const Fixture fixture("resnet_f64.safetensors");
  const std::string name = GetParam();
  const ResNet model = filled_resnet(name, fixture, DType::f32);
  const auto folder = std::filesystem::temp_directory_path() / str("boxcam-parity-", std::random_device{}());
  std::filesystem::create_directories(folder);
  const std::string path = folder / "model.safetensors";
  write_safetensors(path, export_weights(model.named_tensors()));
  if (const char* wanted = std::getenv("BOXCAM_EXPORT_TO"); wanted && name == "resnet50")
    std::filesystem::copy_file(path, wanted, std::filesystem::copy_options::overwrite_existing);

  const TensorFile file = read_weights(path, tensor_names(model_kind(name)));
  EXPECT_EQ(digest_of(file, folder / "digest"), fixture.json("state_dict_sha256")[name]);
  const ResNet read(resnet_config(name), fixture.classes(), DType::f32, 99);
  load_weights(read.named_tensors(), file);
  const auto expected = model.named_tensors(), found = read.named_tensors();
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(found[i].tensor.to_vector(), expected[i].tensor.to_vector()) << expected[i].name;
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Torchvision, ParityFiles,
                         testing::Values("resnet18", "resnet50", "resnet50-v1", "resnet-mini"), test_name);

}  // namespace
}  // namespace boxcam
