#include "models/imagenet.h"

#include <sstream>

namespace boxcam {

extern const char* const imagenet_classes_text;  // imagenet/classes.cpp.in

const std::vector<std::vector<std::string>>& imagenet_classes() {
  static const auto classes = [] {
    std::vector<std::vector<std::string>> list;
    std::istringstream text(imagenet_classes_text);
    for (std::string synset, names; text >> synset && std::getline(text >> std::ws, names);) {
      list.emplace_back();
      std::istringstream line(names);
      for (std::string name; std::getline(line >> std::ws, name, ',');) list.back().push_back(name);
    }
    return list;
  }();
  return classes;
}

}  // namespace boxcam
