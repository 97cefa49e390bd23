// What torch.save writes: a zip archive (since torch 1.6) or a row of pickles followed by the numbers (before that).
#pragma once

#include <string>
#include <string_view>

#include "nn/files/safetensors.h"

namespace boxcam {

/// The first bytes of a file in the legacy format: the pickle of torch's magic number.
inline constexpr std::string_view legacy_torch_start{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e",
                                                     15};

/// The tensors of a state dict, row-major whatever their strides were, in the dict's order; a dict wrapped as
/// {'state_dict': ...} or {'model': ...} is unwrapped, and a note says so. Both throw Error naming the file when it is
/// damaged or truncated, is no state dict, is not of pickle protocol 2, or wants anything executed. The memory asked
/// for is at most proportional to the size of the file.
TensorFile read_torch_zip(const std::string& path);
TensorFile read_torch_legacy(const std::string& path);

}  // namespace boxcam
