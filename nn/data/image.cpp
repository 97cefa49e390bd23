#include "nn/data/image.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "engine/base/check.h"

namespace boxcam {
namespace {

// The filter of one side: output i is the weighted sum of `count` inputs from `first[i]` on.
struct Filter {
  int count;
  std::vector<int> first;
  std::vector<float> weights;  // [outputs, count], zeros at the end of a row where the border cuts it
};

// For the `outputs` pixels from `begin` on of a side that goes from size_in to size_out.
Filter triangle_filter(int size_in, int64_t size_out, int64_t begin, int outputs) {
  const double scale = static_cast<double>(size_in) / static_cast<double>(size_out);
  const double support = std::max(scale, 1.0);  // half width of the triangle
  Filter filter;
  filter.count = std::min(size_in, 2 * static_cast<int>(std::ceil(support)) + 1);
  filter.first.resize(outputs);
  filter.weights.resize(size_t(outputs) * filter.count);
  for (int i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(begin + i) + 0.5) * scale;
    const int low = std::max(0, static_cast<int>(center - support + 0.5));
    const int high = std::min(size_in, static_cast<int>(center + support + 0.5));
    // Shifted down where `count` inputs from `low` on would reach past the end.
    const int first = std::min(low, size_in - filter.count);
    float* weights = &filter.weights[size_t(i) * filter.count];
    double sum = 0;
    for (int j = low; j < high; ++j) sum += std::max(0.0, 1.0 - std::abs((j + 0.5 - center) / support));
    for (int j = low; j < high; ++j)
      weights[j - first] = static_cast<float>(std::max(0.0, 1.0 - std::abs((j + 0.5 - center) / support)) / sum);
    filter.first[i] = first;
  }
  return filter;
}

// One row along x. A pixel is one vector of four floats, of which the fourth computes what nobody reads: both rows have
// one float more than they need.
void filter_row(const Filter& filter, const float* in, float* out, int width_out) {
  using Vector [[gnu::vector_size(16)]] = float;
  const float* weight = filter.weights.data();
  for (int x = 0; x < width_out; ++x) {
    Vector sum{};
    const float* pixel = in + filter.first[x] * 3;
    for (int j = 0; j < filter.count; ++j, ++weight, pixel += 3) {
      Vector value;
      std::memcpy(&value, pixel, sizeof value);
      sum += *weight * value;
    }
    std::memcpy(out + x * 3, &sum, sizeof sum);
  }
}

void add_scaled(float factor, const float* __restrict in, float* __restrict sum, size_t count) {
  for (size_t i = 0; i < count; ++i) sum[i] += factor * in[i];
}

double area(const Box& box) { return std::max(0.0, box.x_max - box.x_min) * std::max(0.0, box.y_max - box.y_min); }

Box clipped(const Box& box, double y, double x, double height, double width) {
  return {std::clamp(box.x_min - x, 0.0, width), std::clamp(box.y_min - y, 0.0, height),
          std::clamp(box.x_max - x, 0.0, width), std::clamp(box.y_max - y, 0.0, height)};
}

struct Window {
  int y, x, height, width;
};

bool keeps_a_box(const Sample& sample, const Window& w) {
  return sample.boxes.empty() || std::any_of(sample.boxes.begin(), sample.boxes.end(), [&](const Box& box) {
           return area(clipped(box, w.y, w.x, w.height, w.width)) >= 0.5 * area(box);
         });
}

// torchvision's evaluation: to which size the image is resized, and where the square then begins.
struct CentreCrop {
  int64_t height, width, y, x;
};

CentreCrop centre_crop(int height, int width, int size) {
  const int64_t shorter = std::lround(size * 256.0 / 224);
  const int64_t longer = shorter * std::max(height, width) / std::min(height, width);
  CentreCrop to{height <= width ? shorter : longer, height <= width ? longer : shorter, 0, 0};
  // To the even neighbour at halves, as Python rounds in torchvision's center_crop.
  to.y = std::llrint(static_cast<double>(to.height - size) / 2.0);
  to.x = std::llrint(static_cast<double>(to.width - size) / 2.0);
  return to;
}

Window random_window(const Sample& sample, Random& random) {
  const int height = sample.image.height, width = sample.image.width;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = random.uniform(0.5, 1.0) * height * width;
    const double ratio = std::exp(random.uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
    Window w{0, 0, static_cast<int>(std::lround(std::sqrt(target / ratio))),
             static_cast<int>(std::lround(std::sqrt(target * ratio)))};
    if (w.height < 1 || w.width < 1 || w.height > height || w.width > width) continue;
    w.y = static_cast<int>(random.below(height - w.height + 1));
    w.x = static_cast<int>(random.below(width - w.width + 1));
    if (keeps_a_box(sample, w)) return w;
  }
  return {0, 0, height, width};
}

/// The part_height x part_width pixels from (y, x) on of the image resized to height x width: of a long and narrow
/// picture the whole would be far larger than the picture. What is kept of it are sums, a row for each of the part. Of
/// what is a hundred times as high as wide, and is to become wider, the sums come first and are then resized along x:
/// its rows are many and short. (Not of every picture that becomes wider: another order gives other last bits.)
Image resized_part(const Image& image, int64_t height, int64_t width, int64_t y, int64_t x, int part_height,
                   int part_width) {
  check(image.height > 0 && image.width > 0, "resize: the image is ", image.height, " x ", image.width);
  if (height == image.height && width == image.width)
    return crop(image, static_cast<int>(y), static_cast<int>(x), part_height, part_width);

  const Filter along_x = triangle_filter(image.width, width, x, part_width);
  const Filter along_y = triangle_filter(image.height, height, y, part_height);
  const size_t in_row = size_t(image.width) * 3, out_row = size_t(part_width) * 3;
  std::vector<float> row(in_row + 1), resized(out_row + 1);
  const bool sums_first = image.width < part_width && image.height / image.width >= 100;
  const size_t sum_row = sums_first ? in_row : out_row;
  std::vector<float> sums(part_height * sum_row, 0.5f);  // rounds when cut to an integer
  int begin = 0;                                         // of the rows that need this one or one to come
  for (int from = along_y.first.front(); from < along_y.first.back() + along_y.count; ++from) {
    while (along_y.first[begin] + along_y.count <= from) ++begin;
    std::copy_n(image.at(from, 0), in_row, row.data());
    if (!sums_first) filter_row(along_x, row.data(), resized.data(), part_width);
    const float* summand = sums_first ? row.data() : resized.data();
    for (int to = begin; to < part_height && along_y.first[to] <= from; ++to) {
      const float weight = along_y.weights[size_t(to) * along_y.count + (from - along_y.first[to])];
      if (weight != 0) add_scaled(weight, summand, &sums[to * sum_row], sum_row);
    }
  }

  Image result(part_height, part_width);
  for (int to = 0; to < part_height; ++to) {
    const float* values = &sums[to * sum_row];
    if (sums_first) {
      std::copy_n(values, in_row, row.data());
      filter_row(along_x, row.data(), resized.data(), part_width);
      values = resized.data();
    }
    std::transform(values, values + out_row, &result.pixels[to * out_row],
                   [](float value) { return static_cast<uint8_t>(std::min(static_cast<int>(value), 255)); });
  }
  return result;
}

void scale_boxes(Sample& sample, double height, double width) {
  const double scale_y = height / sample.image.height, scale_x = width / sample.image.width;
  for (Box& box : sample.boxes)
    box = {box.x_min * scale_x, box.y_min * scale_y, box.x_max * scale_x, box.y_max * scale_y};
}

/// A box that is outside goes, and its class with it.
void clip_boxes(Sample& sample, double y, double x, int height, int width) {
  size_t kept = 0;
  for (size_t i = 0; i < sample.boxes.size(); ++i) {
    const Box box = clipped(sample.boxes[i], y, x, height, width);
    if (area(box) <= 0) continue;
    sample.boxes[kept] = box;
    if (!sample.box_classes.empty()) sample.box_classes[kept] = sample.box_classes[i];
    ++kept;
  }
  if (kept == 0 && !sample.boxes.empty()) sample.lost_boxes = true;
  sample.boxes.resize(kept);
  if (!sample.box_classes.empty()) sample.box_classes.resize(kept);
}

}  // namespace

Image resize(const Image& image, int height, int width) {
  check(height > 0 && width > 0, "resize: asked for ", height, " x ", width, " pixels");
  return resized_part(image, height, width, 0, 0, height, width);
}

Image crop(const Image& image, int y, int x, int height, int width) {
  check(y >= 0 && x >= 0 && height > 0 && width > 0 && y + height <= image.height && x + width <= image.width,
        "crop: ", height, " x ", width, " pixels at (", y, ", ", x, ") are not inside an image of ", image.height,
        " x ", image.width);
  Image result(height, width);
  for (int row = 0; row < height; ++row) std::copy_n(image.at(y + row, x), size_t(width) * 3, result.at(row, 0));
  return result;
}

Image flip_horizontal(const Image& image) {
  Image result(image.height, image.width);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) std::copy_n(image.at(y, x), 3, result.at(y, image.width - 1 - x));
  return result;
}

Image turned(const Image& image, int orientation) {
  check(orientation >= 1 && orientation <= 8, "turned: an EXIF orientation is 1 to 8, not ", orientation);
  const auto is_one_of = [&](std::initializer_list<int> list) {
    return std::find(list.begin(), list.end(), orientation) != list.end();
  };
  const bool swapped = orientation >= 5, from_bottom = is_one_of({3, 4, 6, 7}), from_right = is_one_of({2, 3, 7, 8});
  Image result(swapped ? image.width : image.height, swapped ? image.height : image.width);
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x) {
      const int from_y = swapped ? x : y, from_x = swapped ? y : x;
      std::copy_n(
          image.at(from_bottom ? image.height - 1 - from_y : from_y, from_right ? image.width - 1 - from_x : from_x), 3,
          result.at(y, x));
    }
  return result;
}

void resize(Sample& sample, int height, int width) {
  Image resized = resize(sample.image, height, width);
  scale_boxes(sample, height, width);
  sample.image = std::move(resized);
}

void crop(Sample& sample, int y, int x, int height, int width) {
  sample.image = crop(sample.image, y, x, height, width);
  clip_boxes(sample, y, x, height, width);
}

void flip_horizontal(Sample& sample) {
  sample.image = flip_horizontal(sample.image);
  const double width = sample.image.width;
  for (Box& box : sample.boxes) box = {width - box.x_max, box.y_min, width - box.x_min, box.y_max};
}

void fit(Sample& sample, const Preprocess& preprocess, bool augmented) {
  const int size = preprocess.image_size;
  check(size > 0, "the image size must be positive, not ", size);
  if (augmented && preprocess.augment == Preprocess::Augment::crop_flip) return;
  if (preprocess.resize == Preprocess::Resize::squash) return resize(sample, size, size);

  check(sample.image.height > 0 && sample.image.width > 0, "sample ", sample.id, " has an image of ",
        sample.image.height, " x ", sample.image.width);
  const CentreCrop to = centre_crop(sample.image.height, sample.image.width, size);
  Image shown = resized_part(sample.image, to.height, to.width, to.y, to.x, size, size);
  scale_boxes(sample, static_cast<double>(to.height), static_cast<double>(to.width));
  clip_boxes(sample, static_cast<double>(to.y), static_cast<double>(to.x), size, size);
  sample.image = std::move(shown);
}

Box shown_part(int height, int width, const Preprocess& preprocess) {
  const double size = preprocess.image_size;
  if (preprocess.resize == Preprocess::Resize::squash) return {0, 0, double(width), double(height)};
  const CentreCrop to = centre_crop(height, width, preprocess.image_size);
  const double y = static_cast<double>(to.y), x = static_cast<double>(to.x);
  const double scale_x = width / static_cast<double>(to.width), scale_y = height / static_cast<double>(to.height);
  return {x * scale_x, y * scale_y, (x + size) * scale_x, (y + size) * scale_y};
}

void augment(Sample& sample, const Preprocess& preprocess, Random& random) {
  if (preprocess.augment == Preprocess::Augment::none) return;
  if (preprocess.augment == Preprocess::Augment::crop_flip) {
    const Window window = random_window(sample, random);
    crop(sample, window.y, window.x, window.height, window.width);
    resize(sample, preprocess.image_size, preprocess.image_size);
  }
  if (random.chance(0.5)) flip_horizontal(sample);
}

Sample prepare(Sample sample, const Preprocess& preprocess, Random* augmentation) {
  fit(sample, preprocess, augmentation != nullptr);
  if (augmentation != nullptr) augment(sample, preprocess, *augmentation);
  return sample;
}

}  // namespace boxcam
