// Pictures of heat maps: one example, the same in three steps, and a sheet of many.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// From blue (0) through green and yellow to red (1); values outside are clamped, NaN is not allowed. Red minus blue
/// grows with the value.
std::array<uint8_t, 3> heat_colour(double value);

/// The caption; without a title and a note there is none. A line that is too long for its picture ends in an ellipsis;
/// characters outside ASCII become "?".
struct OverlayText {
  std::string title{};            ///< "ship 97.3 %"
  std::string note{};             ///< lines below it, none when empty: "true: car, CH 71 %"
  std::optional<bool> correct{};  ///< a green or red mark in front of the title
};

struct OverlayStyle {
  double opacity = 0.6;  ///< of the heat map where it is 1; it falls to nothing where it is 0
  int min_side = 224;    ///< pictures whose longer side is less are enlarged by a whole factor, boxes with them
};

/// The image with `cam` blended over it, the boxes and a caption bar underneath. `cam` is row-major, image.height *
/// image.width values in [0, 1]; a map of zeros is marked "empty CAM" in the caption. Boxes are in pixels of `image`
/// and clipped to it; their white line runs along the inside of their edge between two dark ones.
/// White lines are 2 pixels wide, letters 8 x 13; where the shorter side of the picture has 800 pixels or more both
/// grow with it. The result is as wide as the (enlarged) image, which lies at its top left.
/// Throws Error when the image is empty, `cam` has another size or holds NaN, or opacity is outside [0, 1].
Image overlay(const Image& image, std::span<const float> cam, const std::vector<Box>& boxes, const OverlayText& text,
              const OverlayStyle& style = {});

/// Three pictures in a row over one caption bar: the image with its boxes, the heat map alone with a colour bar, and
/// the overlay. Arguments and errors as for `overlay`.
Image panel(const Image& image, std::span<const float> cam, const std::vector<Box>& boxes, const OverlayText& text,
            const OverlayStyle& style = {});

/// A contact sheet: tiles of any size in rows of `columns`, under a line with `title` and a colour bar from 0 to 1
/// called `scale_name` (no such line when `title` is empty). Throws Error when there is no tile, one is empty, or
/// columns is not positive.
Image sheet(const std::vector<Image>& tiles, int columns, const std::string& title,
            const std::string& scale_name = "Grad-CAM (normalised)");

}  // namespace boxcam
