// JPEGs to pixels, with libjpeg-turbo; where that was not found at build time, with stb_image.
#pragma once

#include <string>
#include <string_view>

#include "nn/data/dataset.h"
#include "nn/data/image_file.h"

namespace boxcam {

struct DecodedJpeg {
  Image image;
  bool has_end;  ///< the file has an end marker
};

/// `bytes` is a whole file that begins as `header` says. `name` is for messages: "image a.jpg".
///
/// A picture is whole when every block of it came out of the file's data. Then what follows is of no interest: bytes
/// before the end marker, bytes after it, none at all. Where a block would be filled in, or a scan of a progressive
/// JPEG is missing, the Error says "truncated"; where the data contradict their own code, "broken".
DecodedJpeg decode_jpeg(std::string_view bytes, const FileHeader& header, const std::string& name);

}  // namespace boxcam
