#include "nn/data/stb.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>
#include <new>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "nn/data/image.h"

namespace {

// stb_image_write goes on with what the system did not give. An exception passes through it, and only its own blocks,
// in a program that has no memory left, are lost.
void* needed(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

// stb_image asks for memory and may use, of a broken picture, what it never set (tables of codes). Of zeros it makes
// pixels of no meaning; of what lay there before, it would look anywhere.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(block, size) std::realloc(block, size)
#define STBI_FREE(block) std::free(block)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#ifndef BOXCAM_HAS_LIBJPEG
#define STBI_ONLY_JPEG
#endif
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(size) needed(std::malloc(size))
#define STBIW_REALLOC(block, size) needed(std::realloc(block, size))
#define STBIW_FREE(block) std::free(block)
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace boxcam {

Image decode_with_stb(std::string_view bytes, const std::string& name) {
  check(bytes.size() <= INT_MAX, name, " is too large: ", bytes.size(), " bytes, at most ", INT_MAX);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()), &width,
                            &height, &channels, 3),
      stbi_image_free);
  const char* const reason = stbi_failure_reason();  // none where memory ends in its inflate
  check(pixels != nullptr, name, " is broken: ", reason ? reason : "out of memory");
  Image image(height, width);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.data());
  return image;
}

std::string png_bytes(const Image& image) {
  check(image.height > 0 && image.width > 0, "cannot make a PNG: the image is ", image.height, " x ", image.width);
  int size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> png(
      stbi_write_png_to_mem(image.pixels.data(), image.width * 3, image.width, image.height, 3, &size), std::free);
  return {reinterpret_cast<const char*>(png.get()), static_cast<size_t>(size)};
}

void write_png(const std::string& path, const Image& image) {
  check(image.height > 0 && image.width > 0, "cannot write ", path, ": the image is ", image.height, " x ",
        image.width);
  write_file(path, {png_bytes(image)});
}

}  // namespace boxcam
