// Images whose labels and boxes stand in tables or files beside them: what every reader of such data does once it has
// read them. Classes are found by name, each image gets the class of its boxes, and what was not asked for is left out.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

struct AnnotationOptions {
  /// What to do with boxes around a group of objects (OpenImages' IsGroupOf, COCO's iscrowd): keep them as boxes, or
  /// drop them. An image in which only dropped boxes show a wanted class is left out: it is no picture of "none".
  enum class GroupOf { keep, drop };
  /// The same of objects that the annotators could hardly make out (VOC's difficult).
  enum class Difficult { keep, drop };
  /// What to do with an image that shows several of the classes: take the class of its largest box, or leave it out.
  enum class SeveralClasses { largest, drop };

  /// Names as the data have them, ignoring case, or the aliases plane, ship and car; OpenImages also takes MIDs
  /// ("/m/0cmf2"). They become the names of the outputs as they are written here (a MID becomes its display name).
  std::vector<std::string> classes = {"plane", "ship", "car"};
  GroupOf group_of = GroupOf::keep;
  Difficult difficult = Difficult::keep;
  SeveralClasses several_classes = SeveralClasses::largest;
  /// OpenImages: boxes of a class' subclasses count as its own, except where a subclass is itself in `classes`. From
  /// the hierarchy file where there is one, which may name them by MID or display name; otherwise Car takes Van,
  /// Limousine and Taxi, Boat takes Barge, Gondola and Canoe.
  bool expand_children = false;
  int64_t max_images = 0;                 ///< a subset of so many images; 0: all
  uint64_t seed = 0;                      ///< picks the subset
  std::vector<std::string> sources = {};  ///< when not empty: only images of these sources
  /// `automatic` is decided by this split, before a subset is drawn; other splits may decide otherwise.
  NoneClass none_class = NoneClass::on;
  /// Of several labels a picture keeps the boxes of all classes, "none" is no output (`off` still leaves its pictures
  /// out), and a picture with an object of which no box is known is left out: which classes it shows is not known.
  Task task = Task::single_label;
};

struct LabelledBox {
  int label;  ///< number of the output; before choose_classes, of a name in the data
  Box box;
  bool unusable = false;  ///< has no area, or an option drops it
};

struct AnnotatedImage {
  std::string file;  ///< from the folder of images
  std::string source, group;
  std::vector<LabelledBox> boxes;  ///< of the wanted classes, in the order of the data
  int label = -1;                  ///< where the data say it; otherwise the boxes decide
  bool listed = false;             ///< the data say something of it, of whatever class
  bool unusable = false;           ///< has objects of wanted classes that are not used
  int height = 0, width = 0;       ///< as the annotations say, in pixels; 0: they do not

  std::string id() const;  ///< `file` without its extension
};

/// Gives an image the class of its largest box and the boxes of that class alone, or `none`; -1 where it is to be left
/// out.
void choose_label(AnnotatedImage& image, int none, AnnotationOptions::SeveralClasses several);

/// One split as a reader has read it.
struct Annotations {
  std::string what = {};                     ///< for describe(): "OpenImages in DIR, official CSV layout"
  std::string dir = {};                      ///< for messages
  std::string images_folder = {};            ///< what AnnotatedImage::file begins at
  std::string split = {};                    ///< "train", "validation" or "test"
  std::vector<std::string> classes = {};     ///< names of the outputs, but "none"
  std::vector<std::string> data_names = {};  ///< what the data call each of them
  std::set<std::string> shown = {};          ///< what the data call the classes that any of the images shows
  std::vector<AnnotatedImage> images = {};
  bool in_pixels = false;       ///< whether boxes are in pixels of the image, or in shares of its sides
  std::string no_sources = {};  ///< why images cannot be chosen by source; empty: they can
  std::vector<Note> notes = {};
};

/// Gives each image its class and the boxes of that class alone, applies the options, and draws the subset: the first
/// `max_images` of a shuffle by `seed` of the images that qualify, in their order. Throws Error for a source that no
/// image has (naming the nearest known ones), in the train split for a class that no image shows, and for fewer images
/// than `max_images`.
std::unique_ptr<Dataset> annotated_images(Annotations annotations, const AnnotationOptions& options);

/// The numbers of names, in the order in which they are met.
class NameNumbers {
 public:
  int number_of(const std::string& name) {
    const auto [found, added] = numbers_.emplace(name, static_cast<int>(list.size()));
    if (added) list.push_back(name);
    return found->second;
  }
  std::vector<std::string> list;

 private:
  std::unordered_map<std::string, int> numbers_;
};

/// What a wanted class may be called in the data, beside its own name: "Airplane" or "aeroplane" for "plane".
bool is_alias(const std::string& wanted, const std::string& name);
std::vector<std::string> alias_words();

/// Finds the wanted classes among the names that the data know; sets classes and data_names of `annotations`. `where`:
/// what lists them, for messages. Throws Error, naming the nearest, for one that is not there, for one that is wanted
/// twice, and where none is wanted.
std::unordered_map<std::string, int> find_classes(Annotations& annotations, const std::vector<std::string>& wanted,
                                                  const std::set<std::string>& known, const std::string& where);

/// For readers that learn the names of classes together with the boxes, whose labels (and those of images) are places
/// in `names` until here. In splits other than train a wanted class need not be among them. Throws as find_classes.
void choose_classes(Annotations& annotations, const std::vector<std::string>& names,
                    const std::vector<std::string>& wanted, const std::string& where);

/// Whether a file's name leads out of its folder, or nowhere: an absolute path, one with "..", or one with a zero byte.
/// Data of others could name any file in this way, so it is refused, but in a table of one's own (csv_images).
bool leads_out(const std::string& name);

/// A box in pixels as shares of the sides of a picture of `width` x `height`. What lies at most 1 % outside is cut
/// off. Throws Error, beginning with `where`, for one that lies
/// farther outside, is NaN, or ends before it begins.
Box checked_shares(const Box& pixels, double width, double height, const std::string& where);
/// The same of a box that is in shares already.
Box checked_shares(const Box& shares, const std::string& where);
inline bool has_area(const Box& box) { return box.x_min < box.x_max && box.y_min < box.y_max; }

}  // namespace boxcam
