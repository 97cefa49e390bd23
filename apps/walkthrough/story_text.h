// The words and numbers of a story: its eight chapters, shared by the terminal and the page.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "apps/walkthrough/story.h"

namespace boxcam {

/// A tensor that a step reads or writes.
struct Flow {
  bool writes;
  std::string symbol, what;
  Tensor tensor;
  std::string note{};  ///< beside shape and norm
};

struct Chapter {
  std::string title;
  std::string words;  ///< for someone who knows PyTorch
  std::vector<Flow> flows;
  std::vector<std::string> findings;  ///< what happened in this very step, one sentence each
};

/// The eight numbered steps, in the thesis' order.
std::vector<Chapter> chapters(const Story& story, const WalkOptions& options);

/// What the reading that was chosen means, in plain words.
std::string reading_in_words(const Method& method);
/// What boxes an image has for the losses: "its boxes", "no box".
std::string boxes_in_words(BoxControl control);
/// "4 plane, 5 ship, 3 car, 4 none"
std::string labels_in_words(const Story& story);

/// What is penalised, image by image.
struct ImageRow {
  std::string id, label, predicted;
  double probability;      ///< of the label
  double inside, outside;  ///< mean CAM inside and outside the boxes; NaN where there is no such pixel
  double share;            ///< CAM mass inside / in the image; NaN without mass
  double penalty;          ///< its term of P
  bool boxed, counted, empty;
};
std::vector<ImageRow> image_rows(const Story& story, const WalkOptions& options);

std::string number_text(double value);  ///< three digits: "0.0123", "1.23e-07", "-" for NaN
std::string bytes_text(size_t bytes);   ///< "12.3 MiB"
std::string time_text(double seconds);  ///< "12.3 ms"
std::string shape_text(const Tensor& tensor);
/// The cosine of the angle between two gradients; NaN where one is zero.
double cosine(const std::vector<Tensor>& a, const std::vector<Tensor>& b);

void print_story(std::ostream& out, const Story& story, const WalkOptions& options);

}  // namespace boxcam
