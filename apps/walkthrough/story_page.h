// A story as one HTML page that needs no network.
#pragma once

#include <string>

#include "apps/walkthrough/story.h"

namespace boxcam {

/// The page; pictures are of the first four images.
std::string page_of(const Story& story, const WalkOptions& options);

}  // namespace boxcam
