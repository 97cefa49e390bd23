// An image file as it lies on the disk: what it is, and what it says of itself without being decoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace boxcam {

/// A JPEG or PNG file, opened; its parts are read as they are asked for.
class ImageFile {
 public:
  enum class Format { jpeg, png };

  /// Throws Error naming the path when there is no file, what is there is no file (a folder, a pipe) or empty, or the
  /// file begins as neither format.
  explicit ImageFile(const std::string& path);

  /// Up to `count` bytes from `at` on, fewer at the end of the file; valid until a call asks for what is not there yet.
  std::string_view bytes(uint64_t at, uint64_t count);
  /// All bytes; later calls find theirs among them.
  std::string_view all() { return bytes(0, size_); }

  const std::string& name() const { return name_; }  ///< "image a.jpg", for messages
  uint64_t size() const { return size_; }
  Format format() const { return format_; }

 private:
  struct Descriptor {
    explicit Descriptor(const std::string& path);
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    const int number;
  };

  std::string name_;
  Descriptor descriptor_;
  uint64_t size_ = 0, block_at_ = 0;
  std::string block_;
  Format format_ = Format::jpeg;
};

/// The header of a JPEG or PNG.
struct FileHeader {
  int height = 0, width = 0;
  int components = 0;    ///< of a JPEG: 1, 3 or 4
  int orientation = 1;   ///< EXIF's, 1 to 8
  uint64_t scan_at = 0;  ///< of a JPEG: where its first scan begins
};

/// Throws Error when it is broken, promises more pixels than the file can hold, or is of a kind that no build decodes.
/// Walks a PNG to its end, which has to be there, and a JPEG to its first scan.
FileHeader read_header(ImageFile& file);

/// What of a JPEG stands from its first scan on.
struct JpegScans {
  int count = 0;
  bool has_end = false;  ///< an end marker; its two bytes anywhere would not do: thumbnails have them too
};
JpegScans scans_of(std::string_view bytes, uint64_t scan_at);

/// Whether no Huffman table of a JPEG has more than the 256 codes that there can be: stb_image does not look, and
/// writes them behind its tables.
bool huffman_tables_fit(std::string_view bytes, uint64_t scan_at);

/// The orientation that EXIF data hold (a TIFF file, in APP1 behind "Exif", in PNG's eXIf); 1 where they say nothing
/// or are damaged.
int exif_orientation(std::string_view tiff);

}  // namespace boxcam
