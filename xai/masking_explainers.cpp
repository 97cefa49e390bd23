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

/// [N, K]: for each image and channel the explained score of f(image, first channel, channels).
template <class Logits>
Tensor scores_of_channels(const Evidence& e, int64_t N, int64_t K, Logits f) {
  const Subject& s = e.subject();
  const NoGrad no_grad;
  const int64_t most = images_of_a_pass(s.x);
  std::vector<double> scores;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t first = 0; first < K; first += most) {
      const Tensor logits = f(n, first, std::min(most, K - first));
      const std::vector<double> some = sum(logits * slice(s.rows, 0, n, 1), {1}).to_vector();
      scores.insert(scores.end(), some.begin(), some.end());
    }
  return Tensor::from({N, K}, scores).to(s.rows.dtype()).to(s.rows.device());
}

/// [k, 1, 1, K]: row i is 1 at channel first + i, else 0.
Tensor one_channel_each(int64_t first, int64_t count, const Tensor& A) {
  std::vector<int32_t> channels(static_cast<size_t>(count));
  std::iota(channels.begin(), channels.end(), static_cast<int32_t>(first));
  const Tensor index = Tensor::from({count}, channels).to(A.device());
  return reshape(one_hot(index, A.dim(3), A.dtype()), {count, 1, 1, A.dim(3)});
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
  return scores_of_channels(e, A.dim(0), A.dim(3), [&](int64_t n, int64_t first, int64_t count) {
    const Tensor own = slice(A, 0, n, 1), gone = one_channel_each(first, count, A);
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
  const Tensor scores = scores_of_channels(e, N, K, [&](int64_t n, int64_t first, int64_t count) {
    const Tensor channels = slice(reshape(slice(A, 0, n, 1), {h, w, K}), 2, first, count);
    const Tensor masks = reshape(channel_masks(channels, H, W), {count, H, W, 1});
    return s.model.forward(slice(s.x, 0, n, 1) * cast(masks, s.x.dtype()), ForwardOptions::observing()).logits;
  });
  return reshape(softmax(scores), {N, 1, 1, K});
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
