#include "xai/masking_explainers.h"

#include <algorithm>
#include <numeric>

namespace boxcam {

namespace {

/// [out, in]: linear interpolation along one axis with the ends on the ends.
Tensor corner_resize_matrix(int64_t out, int64_t in, DType dtype, Device device) {
  std::vector<double> matrix(static_cast<size_t>(out * in));
  for (int64_t i = 0; i < out; ++i) {
    const double at = out > 1 ? static_cast<double>(i * (in - 1)) / static_cast<double>(out - 1) : 0;
    const int64_t low = std::min(static_cast<int64_t>(at), in - 1), high = std::min(low + 1, in - 1);
    matrix[i * in + low] += 1 - (at - static_cast<double>(low));
    matrix[i * in + high] += at - static_cast<double>(low);
  }
  return Tensor::from({out, in}, matrix).to(dtype).to(device);
}

/// How many images one pass takes: 64 of 224 x 224, so that memory does not grow with the number of channels.
int64_t images_of_a_pass(const Tensor& x) {
  return std::clamp<int64_t>(64 * 224 * 224 / (x.dim(1) * x.dim(2)), 1, 512);
}

std::vector<int32_t> all_channels(int64_t K) {
  std::vector<int32_t> channels(static_cast<size_t>(K));
  std::iota(channels.begin(), channels.end(), 0);
  return channels;
}

/// The explained scores of image n as f shows it for each of these channels: f(k channels) gives logits [k, classes].
template <class Logits>
std::vector<double> scores_for(const Subject& s, int64_t n, const std::vector<int32_t>& channels, Logits f) {
  const NoGrad no_grad;
  const int64_t most = images_of_a_pass(s.x);
  std::vector<double> scores;
  for (int64_t first = 0; first < std::ssize(channels); first += most) {
    const auto begin = channels.begin() + first, end = begin + std::min(most, std::ssize(channels) - first);
    const Tensor logits = f(std::vector<int32_t>(begin, end));
    const std::vector<double> found = sum(logits * slice(s.rows, 0, n, 1), {1}).to_vector();
    scores.insert(scores.end(), found.begin(), found.end());
  }
  return scores;
}

/// [N, K]: the score of each image without each of its channels.
Tensor scores_without_channels(const Evidence& e) {
  const Subject& s = e.subject();
  const Tensor A = e.A();
  const std::string from = s.model.restart_of(e.tap());
  const Tensor starts = from == e.tap() ? Tensor() : [&] {
    const NoGrad no_grad;
    return s.model.forward(s.x, ForwardOptions::observing(), {from}).taps.at(from);
  }();
  const int64_t N = A.dim(0), K = A.dim(3);
  std::vector<double> scores;
  for (int64_t n = 0; n < N; ++n) {
    const Tensor own = slice(A, 0, n, 1);
    const std::vector<double> some = scores_for(s, n, all_channels(K), [&](const std::vector<int32_t>& channels) {
      const int64_t count = std::ssize(channels);
      const Tensor index = Tensor::from({count}, channels).to(A.device());
      const Tensor gone = reshape(one_hot(index, K, A.dtype()), {count, 1, 1, K});
      Tensor ablated = own * (-gone + 1.0);
      if (s.ablation == Ablation::mean) ablated = ablated + gone * mean(own, {1, 2}, true);
      Tensor start;
      if (starts.defined()) {
        Shape many = starts.shape();
        many[0] = count;
        start = broadcast_to(slice(starts, 0, n, 1), many);
      }
      return s.model.resume(e.tap(), ablated, start);
    });
    scores.insert(scores.end(), some.begin(), some.end());
  }
  return Tensor::from({N, K}, scores).to(s.rows.dtype()).to(s.rows.device());
}

/// Which channels of [cells, K] are the same in every cell.
std::vector<bool> flat_channels(const Tensor& cells) {
  const int64_t K = cells.dim(1);
  const std::vector<double> values = cells.to_vector();
  std::vector<bool> flat(static_cast<size_t>(K), true);
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != values[i % K]) flat[i % K] = false;
  return flat;
}

}  // namespace

Tensor channel_masks(const Tensor& channels, int64_t height, int64_t width) {
  const int64_t h = channels.dim(0), w = channels.dim(1), k = channels.dim(2);
  const Tensor rows = corner_resize_matrix(height, h, channels.dtype(), channels.device());
  const Tensor columns = corner_resize_matrix(width, w, channels.dtype(), channels.device());
  // [h, w k] -> [w k, H], which is [w, k H] -> [k H, W]: two products that bring the channels to the front.
  const Tensor tall = matmul(reshape(channels, {h, w * k}), rows, {.transpose_a = true, .transpose_b = true});
  const Tensor full = matmul(reshape(tall, {w, k * height}), columns, {.transpose_a = true, .transpose_b = true});
  const Tensor u = reshape(full, {k, height * width});
  const Tensor low = take_at(u, argmin(u)), high = take_at(u, argmax(u));
  return reshape((u - low) / (high - low + 1e-8), {k, height, width});
}

Tensor score_cam(const Evidence& e) {
  const Subject& s = e.subject();
  const Tensor A = e.A();
  const int64_t N = A.dim(0), h = A.dim(1), w = A.dim(2), K = A.dim(3), H = s.x.dim(1), W = s.x.dim(2);
  std::vector<double> scores;
  for (int64_t n = 0; n < N; ++n) {
    const Tensor cells = reshape(slice(A, 0, n, 1), {h * w, K});
    // A flat channel's mask is 0 everywhere: the first of them is shown for all. Behind a ReLU there are many.
    const std::vector<bool> flat = flat_channels(cells);
    const int64_t first_flat = std::find(flat.begin(), flat.end(), true) - flat.begin();
    std::vector<int32_t> shown = all_channels(K);
    std::erase_if(shown, [&](int32_t k) { return flat[k] && k != first_flat; });
    const std::vector<double> of_shown = scores_for(s, n, shown, [&](const std::vector<int32_t>& channels) {
      const int64_t count = std::ssize(channels);
      std::vector<int32_t> in_cells;
      for (int64_t cell = 0; cell < h * w; ++cell) in_cells.insert(in_cells.end(), channels.begin(), channels.end());
      const Tensor index = Tensor::from({h * w, count}, in_cells).to(A.device());
      const Tensor masks = channel_masks(reshape(take_at(cells, index), {h, w, count}), H, W);
      const Tensor pictures = slice(s.x, 0, n, 1) * cast(reshape(masks, {count, H, W, 1}), s.x.dtype());
      return s.model.forward(pictures, ForwardOptions::observing()).logits;
    });
    std::vector<double> own(static_cast<size_t>(K));
    for (size_t i = 0; i < shown.size(); ++i) own[shown[i]] = of_shown[i];
    for (int64_t k = 0; k < K; ++k) scores.push_back(own[flat[k] ? first_flat : k]);
  }
  return reshape(softmax(Tensor::from({N, K}, scores).to(s.rows.dtype()).to(s.rows.device())), {N, 1, 1, K});
}

Tensor ablation_cam(const Evidence& e) {
  const Subject& s = e.subject();
  const Tensor A = e.A(), head = s.model.head_of(e.tap()), y = sum(s.logits * s.rows, {1}, true);
  Tensor drop;
  if (head.defined()) {
    check(s.ablation == Ablation::zero, "ablation-cam: behind the tap ", e.tap(),
          " is pooling, for which a channel's mean stands for the channel, so that no score changes; expected "
          "--ablation zero, or an earlier tap");
    drop = matmul(s.rows, head.detach()) * mean(A, {1, 2});
  } else {
    drop = y - scores_without_channels(e);
  }
  const Tensor size = abs(y), none = -greater(size, Tensor::scalar(0, y.dtype(), y.device())) + 1.0;
  return reshape(drop / (size + none), {A.dim(0), 1, 1, A.dim(3)});
}

}  // namespace boxcam
