// Where things are fetched from: addresses.toml, which is built in.
#pragma once

#include <map>
#include <string>

namespace boxcam {

struct Addresses {
  std::string classes, hierarchy;                                     ///< OpenImages' class names and hierarchy
  std::map<std::string, std::string> boxes;                           ///< tables, by split
  std::map<std::string, std::string> labels;                          ///< what people said of whole pictures, by split
  std::string pictures;                                               ///< with {split} and {id}
  std::map<std::string, std::map<std::string, std::string>> weights;  ///< by model and version ("v1")

  std::string picture(const std::string& split, const std::string& id) const;
};

/// `base_url`, where it is not empty, stands for the scheme and host of every address. Throws Error where it is none.
Addresses addresses(const std::string& base_url = "");

/// What an address calls its file: all behind the last slash.
std::string file_name(const std::string& url);

}  // namespace boxcam
