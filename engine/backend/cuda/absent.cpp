// The CUDA table of a build without CUDA.
#include "engine/backend/kernels.h"

namespace boxcam {

const Kernels& cuda_kernels() { fail("boxcam was built without CUDA: use --device cpu"); }

}  // namespace boxcam
