// A picture: what its header says, then its pixels, and what the network gets of them.
#include "nn/data/image.h"

#include <optional>

#include "engine/base/check.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {
namespace {

std::optional<ImageHeader> header_of(const std::string& path) {
  try {
    return inspect_image(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

void run(std::string_view input) {
  const std::string path = write("picture", input);
  const std::optional<ImageHeader> header = header_of(path);
  // Twelve kilobytes can be a hundred million pixels, honestly compressed. To decode and resize them takes seconds, of
  // which the sanitizers make a minute.
  if (header && int64_t{header->height} * header->width > 4'000'000) return;
  const Image image = read_image(path);
  require(image.pixels.size() == static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3,
          "an image has its pixels");
  require(header && header->height == image.height && header->width == image.width,
          "a picture that can be decoded has a header, of its size");
  turned(image, header->orientation);
  for (const auto method : {Preprocess::Resize::squash, Preprocess::Resize::crop}) {
    Sample sample;
    sample.image = image;
    prepare(std::move(sample), {.resize = method}, nullptr);
  }
}

}  // namespace boxcam::fuzz
