// What engine/ops.h declares, read from its lines, for tests that have to know every op.
#pragma once

#include <fstream>
#include <map>
#include <string>

namespace boxcam {

/// Op name -> the lines of its declarations in engine/ops.h.
inline std::map<std::string, std::string> catalogue() {
  std::ifstream file(BOXCAM_SOURCE_DIR "/engine/ops.h");
  std::map<std::string, std::string> ops;
  for (std::string line; std::getline(file, line);)
    for (const std::string result : {"Tensor ", "std::vector<Tensor> "})
      if (line.starts_with(result) && line.find('(') != std::string::npos)
        ops[line.substr(result.size(), line.find('(') - result.size())] += line + "\n";
  return ops;
}

inline bool is_differentiable(const std::string& lines) {
  return lines.find("not differentiable") == std::string::npos;
}

}  // namespace boxcam
