// What Dataset::identity hashes: values one after the other, so that no two lists of them make the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/sha256.h"
#include "nn/data/dataset.h"

namespace boxcam {

class Identity {
 public:
  void add(int64_t number) { hash_.add(&number, sizeof number); }
  void add(double number) { hash_.add(&number, sizeof number); }
  void add(const std::string& text) {
    add(static_cast<int64_t>(text.size()));
    hash_.add(text);
  }
  void add(const std::vector<std::string>& texts) {
    add(static_cast<int64_t>(texts.size()));
    for (const std::string& text : texts) add(text);
  }
  void add(const std::vector<Box>& boxes) {
    add(static_cast<int64_t>(boxes.size()));
    for (const Box& box : boxes)
      for (const double side : {box.x_min, box.y_min, box.x_max, box.y_max}) add(side);
  }
  std::string digits() { return hash_.digits(); }

 private:
  Sha256 hash_;
};

}  // namespace boxcam
