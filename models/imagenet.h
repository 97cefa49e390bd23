// The classes of ImageNet (ILSVRC 2012), as far as models that were trained on it need them: names for their outputs.
#pragma once

#include <string>
#include <vector>

namespace boxcam {

/// For each of the 1000 outputs, in torchvision's order, the names of its synset; the first is what it is called. Two
/// names stand for two outputs each: crane and maillot. models/imagenet/README.md says where they come from.
const std::vector<std::vector<std::string>>& imagenet_classes();

}  // namespace boxcam
