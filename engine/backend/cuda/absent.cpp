// The CUDA device of a build without CUDA.
#include "engine/backend/backend.h"

namespace boxcam {

const Backend* cuda_backend() { return nullptr; }

}  // namespace boxcam
