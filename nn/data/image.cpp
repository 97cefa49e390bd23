#include "nn/data/image.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace boxcam {
namespace {

constexpr std::string_view jpeg_start = "\xFF\xD8";
constexpr std::string_view png_start = "\x89PNG\r\n\x1a\n";

uint32_t big_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// stb decodes a cut-off JPEG without complaint (the rest is grey), so the file is walked from marker to marker. Looking
// for the end marker's two bytes anywhere would not do: an embedded thumbnail has them too.
bool jpeg_is_complete(std::string_view bytes) {
  size_t at = jpeg_start.size();
  while (at + 2 <= bytes.size()) {
    // Between markers lie entropy-coded data (in which FF is followed by 00) or fill bytes.
    if (bytes[at] != '\xFF') {
      at = bytes.find('\xFF', at);
      if (at == std::string_view::npos) return false;
      continue;
    }
    const auto marker = static_cast<unsigned char>(bytes[at + 1]);
    if (marker == 0xFF) {
      at += 1;
    } else if (marker == 0xD9) {
      return true;
    } else if (marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {  // stuffed zero, TEM, RST0-7, SOI: no length
      at += 2;
    } else {
      if (at + 4 > bytes.size()) return false;
      at += 2 + big_endian(bytes, at + 2, 2);
    }
  }
  return false;
}

bool png_is_complete(std::string_view bytes) {
  size_t at = png_start.size();
  while (at + 12 <= bytes.size()) {  // a chunk: length, type, data, checksum
    const size_t end = at + 12 + big_endian(bytes, at, 4);
    if (end > bytes.size()) return false;
    if (bytes.substr(at + 4, 4) == "IEND") return true;
    at = end;
  }
  return false;
}

// The filter of one side: output i is the weighted sum of `count` inputs from `first[i]` on.
struct Filter {
  int count;
  std::vector<int> first;
  std::vector<float> weights;  // [size_out, count], zeros at the end of a row where the border cuts it
};

Filter triangle_filter(int size_in, int size_out) {
  const double scale = static_cast<double>(size_in) / size_out;
  const double support = std::max(scale, 1.0);  // half width of the triangle
  Filter filter;
  filter.count = std::min(size_in, 2 * static_cast<int>(std::ceil(support)) + 1);
  filter.first.resize(size_out);
  filter.weights.resize(size_t(size_out) * filter.count);
  for (int i = 0; i < size_out; ++i) {
    const double center = (i + 0.5) * scale;
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
  int height, width, y, x;
};

CentreCrop centre_crop(int height, int width, int size) {
  const int64_t shorter = std::lround(size * 256.0 / 224);
  const int64_t longer = shorter * std::max(height, width) / std::min(height, width);
  CentreCrop to{static_cast<int>(height <= width ? shorter : longer),
                static_cast<int>(height <= width ? longer : shorter), 0, 0};
  // To the even neighbour at halves, as Python rounds in torchvision's center_crop.
  to.y = static_cast<int>(std::nearbyint((to.height - size) / 2.0));
  to.x = static_cast<int>(std::nearbyint((to.width - size) / 2.0));
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

// The bytes of a file that begins and ends as a JPEG or PNG does.
std::string encoded_image(const std::string& path) {
  const std::string bytes = read_file(path, "image");
  check(!bytes.empty(), "image ", path, " is empty (0 bytes)");
  check(bytes.size() <= INT_MAX, "image ", path, " is too large: ", bytes.size(), " bytes");
  const bool jpeg = bytes.starts_with(jpeg_start), png = bytes.starts_with(png_start);
  check(jpeg || png, "image ", path, " is neither a JPEG nor a PNG file");
  check(!jpeg || jpeg_is_complete(bytes), "image ", path, " is truncated: ", bytes.size(),
        " bytes of JPEG without an end marker");
  check(!png || png_is_complete(bytes), "image ", path, " is truncated: ", bytes.size(),
        " bytes of PNG without an IEND chunk");
  return bytes;
}

}  // namespace

ImageHeader inspect_image(const std::string& path) {
  const std::string bytes = encoded_image(path);
  ImageHeader header;
  int channels = 0;
  check(stbi_info_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()),
                              &header.width, &header.height, &channels) != 0,
        "image ", path, " is broken: ", stbi_failure_reason());
  return header;
}

Image read_image(const std::string& path) {
  const std::string bytes = encoded_image(path);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()), &width,
                            &height, &channels, 3),
      stbi_image_free);
  check(pixels != nullptr, "image ", path, " is broken: ", stbi_failure_reason());
  Image image(height, width);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.data());
  return image;
}

std::string png_bytes(const Image& image) {
  check(image.height > 0 && image.width > 0, "cannot make a PNG: the image is ", image.height, " x ", image.width);
  int size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> png(
      stbi_write_png_to_mem(image.pixels.data(), image.width * 3, image.width, image.height, 3, &size), std::free);
  check(png != nullptr, "cannot make a PNG of ", image.height, " x ", image.width, " pixels: out of memory");
  return {reinterpret_cast<const char*>(png.get()), static_cast<size_t>(size)};
}

void write_png(const std::string& path, const Image& image) {
  check(image.height > 0 && image.width > 0, "cannot write ", path, ": the image is ", image.height, " x ",
        image.width);
  write_file(path, {png_bytes(image)});
}

Image resize(const Image& image, int height, int width) {
  check(height > 0 && width > 0, "resize: asked for ", height, " x ", width, " pixels");
  check(image.height > 0 && image.width > 0, "resize: the image is ", image.height, " x ", image.width);
  if (height == image.height && width == image.width) return image;

  const Filter along_x = triangle_filter(image.width, width), along_y = triangle_filter(image.height, height);
  const size_t in_row = size_t(image.width) * 3, out_row = size_t(width) * 3;
  std::vector<float> row(in_row + 1);
  std::vector<float> narrowed(image.height * out_row + 1);
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(image.at(y, 0), in_row, row.data());
    filter_row(along_x, row.data(), &narrowed[y * out_row], width);
  }

  Image result(height, width);
  std::vector<float> sum(out_row);
  for (int y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 0.5f);  // rounds when cut to an integer
    for (int j = 0; j < along_y.count; ++j) {
      const float weight = along_y.weights[size_t(y) * along_y.count + j];
      if (weight != 0) add_scaled(weight, &narrowed[(along_y.first[y] + j) * out_row], sum.data(), out_row);
    }
    uint8_t* out = result.at(y, 0);
    for (size_t i = 0; i < out_row; ++i) out[i] = static_cast<uint8_t>(std::min(static_cast<int>(sum[i]), 255));
  }
  return result;
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

void resize(Sample& sample, int height, int width) {
  const double scale_y = static_cast<double>(height) / sample.image.height;
  const double scale_x = static_cast<double>(width) / sample.image.width;
  sample.image = resize(sample.image, height, width);
  for (Box& box : sample.boxes)
    box = {box.x_min * scale_x, box.y_min * scale_y, box.x_max * scale_x, box.y_max * scale_y};
}

void crop(Sample& sample, int y, int x, int height, int width) {
  sample.image = crop(sample.image, y, x, height, width);
  for (Box& box : sample.boxes) box = clipped(box, y, x, height, width);
  std::erase_if(sample.boxes, [](const Box& box) { return area(box) <= 0; });
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
  resize(sample, to.height, to.width);
  crop(sample, to.y, to.x, size, size);
}

Box shown_part(int height, int width, const Preprocess& preprocess) {
  const double size = preprocess.image_size;
  if (preprocess.resize == Preprocess::Resize::squash) return {0, 0, double(width), double(height)};
  const CentreCrop to = centre_crop(height, width, preprocess.image_size);
  const double scale_x = double(width) / to.width, scale_y = double(height) / to.height;
  return {to.x * scale_x, to.y * scale_y, (to.x + size) * scale_x, (to.y + size) * scale_y};
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
