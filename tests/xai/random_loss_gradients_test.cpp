// Both derivatives of the losses on a CAM, of the way from M to it, of the fused CAM with its box penalty and of the
// signed split, at random shapes, boxes and options, in f64, against differences.
//
//   BOXCAM_CASES=10000 build/tests/random_loss_gradients_test
#include <gtest/gtest.h>

#include "tests/random_cases.h"
#include "xai/boxes.h"
#include "xai/cam_box.h"
#include "xai/evidence_split.h"
#include "xai/losses.h"

namespace boxcam {
namespace {

using In = const std::vector<Tensor>&;
constexpr int64_t kTests = 4, kFew = 25;

/// Of each image no box, one, two, or one over everything.
Tensor masks(Draw& draw, int64_t images, int64_t height, int64_t width) {
  std::vector<std::vector<Box>> boxes(images);
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  for (auto& list : boxes) {
    for (int64_t i = draw.integer(0, 2); i > 0; --i) {
      const double x = draw.number(0, w), y = draw.number(0, h);
      list.push_back({x, y, draw.number(x, w), draw.number(y, h)});
    }
    if (draw.chance(0.1)) list = {{0, 0, w, h}};
  }
  return box_masks(boxes, height, width, 0, DType::f64);
}

struct Sizes {
  int64_t images, h, w, height, width;  ///< of cells, and of pixels
};
/// Two cells at least: a map of one is flat, and the normalisation's derivative unbounded there.
Sizes sizes(Draw& draw) {
  return {draw.integer(1, 3), draw.integer(1, 3), draw.integer(2, 3), draw.integer(1, 8), draw.integer(2, 8)};
}

CamLoss loss_of(Draw& draw) { return draw.one_of(cam_losses()); }

/// Of the images that are counted, or of every image.
std::vector<char> counted(Draw& draw, int64_t images) {
  std::vector<char> marks(draw.chance() ? images : 0);
  for (char& mark : marks) mark = draw.chance(0.7) ? 1 : 0;
  return marks;
}

/// Of the CAM alone, away from 0 and 1, where abs and log are not smooth.
Problem of_a_cam(Draw& draw) {
  const CamLoss loss = loss_of(draw);
  const Shape shape{draw.integer(1, 3), draw.integer(1, 6), draw.integer(1, 6)};
  const Tensor B = masks(draw, shape[0], shape[1], shape[2]);
  const std::vector<char> marks = counted(draw, shape[0]);
  const bool each = draw.chance();
  return problem(str(loss.name, shape, each ? ", each image" : ", their mean"),
                 [=](In in) {
                   const Tensor losses = loss.of_images(in[0], B);
                   return each ? losses : mean_over_images(losses, marks);
                 },
                 {draw.tensor(shape, 0.05, 0.95)});
}

/// Whether a map is neither empty nor far from flat: its normalisation's derivatives are large then.
bool is_nearly_flat(const Tensor& maps) {
  const auto values = maps.to_vector();
  const auto size = static_cast<int64_t>(values.size()) / maps.dim(0);
  for (int64_t n = 0; n < maps.dim(0); ++n) {
    const auto [low, high] = std::minmax_element(values.begin() + n * size, values.begin() + (n + 1) * size);
    if (*high != 0 && *high - *low < 0.2) return true;
  }
  return false;
}

/// Of maps that are min-maxed on the way, whether one is.
bool is_nearly_flat(const std::vector<Tensor>& maps, int64_t height, int64_t width, CamProfile profile) {
  const auto resized = [&](const Tensor& x) { return bilinear_resize(x, height, width); };
  if (profile == CamProfile::paper)
    return std::any_of(maps.begin(), maps.end(), [&](const Tensor& M) { return is_nearly_flat(resized(relu(M))); });
  Tensor total = Tensor::zeros({maps[0].dim(0), height, width}, DType::f64);
  for (const Tensor& M : maps) {
    const Tensor signs = profile == CamProfile::pgc_1_4 ? relu(M) : M;
    if (is_nearly_flat(signs)) return true;
    total = total + resized(scale_cam(signs, CamNormalizer::differentiated)) / static_cast<double>(maps.size());
  }
  return is_nearly_flat(total);
}

/// Of a CAM that is made of the maps of one tap or several. `ppce` is left out: it has ln C where C is 0. Two cells, or
/// two pixels between cells, that are equal would both be the extreme, so the maps are not evenly spaced.
Problem of_maps(Draw& draw) {
  CamLoss loss = loss_of(draw);
  while (loss.of_images == ppce_loss) loss = loss_of(draw);
  const auto profile = draw.one_of<CamProfile>({CamProfile::pgc_1_4, CamProfile::pgc_1_3_1, CamProfile::paper});
  Sizes s;
  std::vector<Tensor> maps;
  do {
    s = sizes(draw);
    maps.clear();
    for (int64_t taps = draw.integer(1, 2); taps > 0; --taps) maps.push_back(draw.tensor({s.images, s.h, s.w}));
  } while (is_nearly_flat(maps, s.height, s.width, profile));
  const Tensor B = masks(draw, s.images, s.height, s.width);
  return problem(
      str(loss.name, ", profile ", static_cast<int>(profile), ", ", maps.size(), " taps ", maps[0].shape(), " to ",
          B.shape()),
      [=](In in) {
        const Tensor C = normalize_cam(in, s.height, s.width, profile, CamNormalizer::differentiated);
        return loss.of_images(C, B);
      },
      maps);
}

/// Whether every map is smooth around here: no cell near zero, and not nearly empty.
bool is_smooth(const Tensor& M) {
  const auto values = M.to_vector();
  const int64_t cells = M.dim(1) * M.dim(2);
  for (int64_t n = 0; n < M.dim(0); ++n) {
    double largest = -1;
    for (int64_t i = 0; i < cells; ++i) {
      const double v = values[n * cells + i];
      if (std::abs(v) < 0.01) return false;
      largest = std::max(largest, v);
    }
    if (largest > 0 && largest < 0.2) return false;
  }
  return true;
}

/// Fused: the losses alone, whose first derivative the kernel makes, or all that it returns.
Problem of_activations(Draw& draw) {
  const Sizes s = sizes(draw);
  const int64_t channels = draw.integer(1, 4);
  const Tensor B = masks(draw, s.images, s.height, s.width);
  const bool everything = draw.chance();
  Tensor A, alpha;
  do {
    A = draw.tensor({s.images, s.h, s.w, channels}, 0, 2);
    alpha = draw.tensor({s.images, channels});
  } while (!is_smooth(sum(A * reshape(alpha, {s.images, 1, 1, channels}), {3})));
  return problem(str(A.shape(), " to ", B.shape(), everything ? ", all" : ", losses"),
                 [=](In in) {
                   const FusedCam found = cam_box(in[0], in[1], B, CamNormalizer::differentiated);
                   return everything ? std::vector{found.raw, found.cam, found.losses} : std::vector{found.losses};
                 },
                 {A, alpha});
}

Problem of_a_split(Draw& draw) {
  const Sizes s = sizes(draw);
  const int64_t channels = draw.integer(1, 4), classes = draw.integer(1, 4);
  const Tensor B = masks(draw, s.images, s.height, s.width), labels = draw.index({s.images}, classes);
  return problem(
      str(s.images, " images, ", s.h, "x", s.w, " cells, ", channels, " channels, ", classes, " classes"),
      [=](In in) {
        const Tensor y = matmul(global_avg_pool(in[0]), in[1], {.transpose_b = true}) + in[2];
        const EvidenceSplit split = split_evidence(in[0], in[1], in[2], y, B);
        return std::vector{mean_over_boxed(evidence_cross_entropies(split, in[2], labels), split),
                           mean_over_boxed(evidence_penalties(split), split)};
      },
      {draw.tensor({s.images, s.h, s.w, channels}), draw.tensor({classes, channels}), draw.tensor({classes})});
}

TEST(RandomLossGradients, OfACam) { check_random_derivatives("of a CAM", case_numbers(kFew, kTests), of_a_cam); }
TEST(RandomLossGradients, OfMaps) { check_random_derivatives("of maps", case_numbers(kFew, kTests), of_maps); }
TEST(RandomLossGradients, OfTheFusedCam) {
  check_random_derivatives("of activations", case_numbers(kFew, kTests), of_activations);
}
TEST(RandomLossGradients, OfTheSignedSplit) {
  check_random_derivatives("of a split", case_numbers(kFew, kTests), of_a_split);
}

}  // namespace
}  // namespace boxcam
