// Which pictures of OpenImages a request takes, found in one pass over a split's table of boxes. Memory depends on the
// number of pictures, not of rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/data/open_images_tables.h"

namespace boxcam {

/// What makes a picture one of "none", beside that no box shows one of the classes: nothing; that people looked for one
/// of the classes at least, or for each of them, and did not find it, and found none of the others.
enum class Absence { boxes, one, every };

struct PictureRequest {
  AnnotationOptions annotations;  ///< classes, seed, and which class a picture has
  int64_t images = 0;             ///< of the split, spread evenly over the classes; 0: all that there are
  double none_share = 0.25;       ///< of the split's pictures
  Absence absence = Absence::boxes;
};

struct ChosenPicture {
  uint64_t id = 0;     ///< its 16 hexadecimal digits
  int label = 0;       ///< the number of classes for "none"
  uint64_t at = 0;     ///< where its rows begin in the table
  uint64_t bytes = 0;  ///< of its rows
};

struct PictureChoice {
  std::vector<ChosenPicture> pictures = {};      ///< by id
  uint64_t header_bytes = 0;                     ///< of the table, before its first row
  std::vector<int64_t> there = {}, wanted = {};  ///< of each class, and of "none": in the table, and asked for
};

/// A picture is taken or not by a number that its id and the seed draw: a larger request takes more, never others. The
/// class of a picture is what the reader will give it. `label_table` is read only where `absence` asks for it. When
/// interrupted() it ends early, and what it returns is of no use. Throws Error as open_images does, and for an id that
/// is not 16 hexadecimal digits, or whose rows do not stand together.
PictureChoice choose_pictures(const std::string& box_table, const std::string& label_table,
                              const OpenImagesClasses& classes, const PictureRequest& request);

/// Writes the rows of the chosen pictures, of whatever class, to a table of their own.
void write_rows(const std::string& box_table, const PictureChoice& choice, const std::string& output);

/// The ids of a table, each once, ascending. Throws Error as choose_pictures.
std::vector<uint64_t> picture_ids(const std::string& box_table);

std::string picture_name(uint64_t id);  ///< 16 hexadecimal digits

}  // namespace boxcam
