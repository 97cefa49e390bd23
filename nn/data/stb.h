// stb_image: PNGs, and JPEGs in a build without libjpeg-turbo.
#pragma once

#include <string>
#include <string_view>

#include "nn/data/dataset.h"

namespace boxcam {

/// Throws Error that begins with `name` ("image a.png") when the bytes are broken.
Image decode_with_stb(std::string_view bytes, const std::string& name);

}  // namespace boxcam
