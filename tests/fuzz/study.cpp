// A study's TOML file.
#include "apps/experiment/study.h"

#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) { require(!read_study(std::string(input), "study.toml").rows.empty(), "rows"); }

}  // namespace boxcam::fuzz
