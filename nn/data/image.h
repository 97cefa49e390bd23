// Images: decode, encode, resize, crop, flip, and what each does to the boxes of a sample.
#pragma once

#include <string>

#include "engine/base/random.h"
#include "nn/data/dataset.h"

namespace boxcam {

/// Decodes a JPEG or PNG file to RGB: grey is repeated, alpha is dropped, 16 bits become 8, CMYK becomes what Pillow
/// makes of it; an EXIF orientation is not applied (as in Pillow and torchvision; see `turned`). A JPEG's pixels are
/// those of Pillow and torchvision (`jpeg_decoder`).
///
/// A JPEG is read as viewers read it: bytes between its data and the end marker, after the end marker, or no end marker
/// at all do no harm where every pixel was in the file. Throws Error naming the path when the file is missing, is
/// neither format, is truncated (where viewers fill in grey, or blur) or is broken.
Image read_image(const std::string& path);

/// "libjpeg-turbo", or in a build without it "stb_image": one in twenty values of a photograph then differs, by 3 of
/// 255 at most (more in the last columns of 4:2:2), and CMYK and JPEGs without an end marker are refused.
std::string jpeg_decoder();

/// What a picture's file says of itself.
struct ImageHeader {
  int height = 0, width = 0;  ///< as decoded: a turn is not applied
  int orientation = 1;        ///< EXIF's, 1 to 8; 1 also where the file says nothing
  std::string note;           ///< a sentence where the file is odd and yet whole: the end marker is missing
};
/// Reads the header and looks for the end: cheap enough for every file of a data set before the first step, since only
/// a JPEG that does not end as it should is read whole, and decoded where it has no end marker. Throws Error as
/// read_image does, but does not see what only decoding shows: damage within the picture's data, or a truncated JPEG
/// to which somebody added an end marker.
ImageHeader inspect_image(const std::string& path);

/// The image as an EXIF orientation (1 to 8) wants it shown: Pillow's ImageOps.exif_transpose, OpenCV's imread.
Image turned(const Image& image, int orientation);

/// The bytes of a PNG file. Throws Error when the image is empty.
std::string png_bytes(const Image& image);

/// Writes a PNG; `path` appears complete or not at all. Throws Error when it cannot be written or the image is empty.
void write_png(const std::string& path, const Image& image);

/// Bilinear resize with antialias, as Pillow's BILINEAR and torchvision's resize(antialias=True) on uint8: a triangle
/// filter whose support grows with the reduction, weights cut off and renormalised at the border. Within one level of
/// 255 of both. Throws Error when a side is not positive.
Image resize(const Image& image, int height, int width);

/// The height x width pixels whose upper left one is (y, x). Throws Error when they reach outside the image.
Image crop(const Image& image, int y, int x, int height, int width);

/// Left becomes right.
Image flip_horizontal(const Image& image);

/// The same on a sample: boxes are scaled / shifted, clipped to the crop and dropped when nothing is left / mirrored.
/// The label stays, also when a crop leaves no box; Sample::lost_boxes then says so.
void resize(Sample& sample, int height, int width);
void crop(Sample& sample, int y, int x, int height, int width);
void flip_horizontal(Sample& sample);

/// From an image of any size to the network's square input.
struct Preprocess {
  /// squash: both sides to image_size (every box stays exact).
  /// crop: the shorter side to image_size * 256 / 224, rounded, then the central square: torchvision's evaluation.
  enum class Resize { squash, crop };
  /// flip: mirrored with probability 1/2, after `resize`. crop_flip: instead of `resize` a random crop, squashed to the
  /// square, then mirrored with probability 1/2. The crop is torchvision's RandomResizedCrop (ratio 3/4 to 4/3) with
  /// two changes for the sake of boxes: it takes 1/2 to 1 of the picture's area instead of 0.08 to 1, and where the
  /// sample has boxes at least one of them keeps half its area; after ten failed draws the whole picture is taken.
  enum class Augment { none, flip, crop_flip };

  int image_size = 224;
  Resize resize = Resize::squash;
  Augment augment = Augment::none;
};

/// image_size x image_size pixels, boxes in pixels of that input. `augmentation` is null for evaluation; otherwise all
/// that is random is drawn from it.
Sample prepare(Sample sample, const Preprocess& preprocess, Random* augmentation);

/// The two halves of `prepare`: what draws no random number (its result can be kept), and what does.
/// `fit` leaves the sample as it is when `augment` is going to crop it.
void fit(Sample& sample, const Preprocess& preprocess, bool augmented);
void augment(Sample& sample, const Preprocess& preprocess, Random& random);

/// The part of an image of this size that `fit` shows to the network, in the image's own pixels.
Box shown_part(int height, int width, const Preprocess& preprocess);

}  // namespace boxcam
