#include "nn/data/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "engine/base/check.h"

namespace boxcam {
namespace {

using namespace std::literals;

constexpr uint64_t kBlock = 4096;
constexpr std::string_view kPngStart = "\x89PNG\r\n\x1a\n"sv;
constexpr std::string_view kExif = "Exif\0\0"sv;

uint64_t number(std::string_view bytes, size_t at, size_t count, bool big_endian = true) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + (big_endian ? i : count - 1 - i)]);
  return value;
}

unsigned char byte(std::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }

/// What else people have under the name of a picture, by its first bytes.
std::string_view other_format(std::string_view bytes) {
  struct Kind {
    size_t at;
    std::string_view begins, name;
  };
  static constexpr Kind kinds[] = {{0, "GIF8", "a GIF image"},
                                   {8, "WEBP", "a WebP image"},
                                   {4, "ftypavif", "an AVIF image"},
                                   {4, "ftypavis", "an AVIF image"},
                                   {4, "ftyphei", "a HEIC image"},
                                   {4, "ftyphev", "a HEIC image"},
                                   {4, "ftypmif1", "a HEIC image"},
                                   {4, "ftypmsf1", "a HEIC image"},
                                   {4, "ftyp", "a video"},
                                   {0, "II*\0"sv, "a TIFF image"},
                                   {0, "MM\0*"sv, "a TIFF image"},
                                   {0, "BM", "a BMP image"},
                                   {4, "jP  ", "a JPEG 2000 image"},
                                   {0, "\xFF\x0A", "a JPEG XL image"},
                                   {4, "JXL ", "a JPEG XL image"},
                                   {0, "%PDF", "a PDF document"},
                                   {0, "<", "an HTML, SVG or XML text"},
                                   {0, "version https://git-lfs", "a pointer of Git LFS, not the file itself"}};
  for (const Kind& kind : kinds)
    if (bytes.size() > kind.at && bytes.substr(kind.at).starts_with(kind.begins)) return kind.name;
  return "";
}

/// Markers without a length behind them: the stuffed zero, TEM, RST0 to RST7, SOI. And FF, which only fills.
bool stands_alone(unsigned char marker) { return marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

/// SOF0 to SOF15 without the three codes between them that mean other things (DHT, JPG, DAC).
bool begins_frame(unsigned char marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

void read_frame(ImageFile& file, unsigned char marker, std::string_view frame, FileHeader& header) {
  const std::string& name = file.name();
  const char* kind = marker <= 0xC2                     ? ""
                     : marker == 0xC3 || marker == 0xCB ? "a lossless"
                     : marker == 0xC9 || marker == 0xCA ? "an arithmetic-coded"
                                                        : "a hierarchical";
  check(*kind == '\0', name, " is ", kind, " JPEG; boxcam reads baseline and progressive ones, Huffman-coded");
  check(frame.size() == 6, name, " is broken: its frame header is too short");
  const uint64_t bits = number(frame, 0, 1), height = number(frame, 1, 2), width = number(frame, 3, 2);
  check(bits == 8, name, " is a JPEG of ", bits, " bits per sample; boxcam reads those of 8");
  check(height > 0 && width > 0, name, " is broken: its header says ", height, " x ", width, " pixels");
  header.components = static_cast<int>(number(frame, 5, 1));
  check(header.components == 1 || header.components == 3 || header.components == 4, name, " is a JPEG of ",
        header.components, " components; boxcam reads grey, colour and CMYK (1, 3, 4)");
  // A block of 8 x 8 pixels takes one Huffman code at least, that is a bit. So a header alone cannot ask for gigabytes.
  check(height * width <= 512 * file.size(), name, " is truncated: ", height, " x ", width, " pixels cannot lie in ",
        file.size(), " bytes of JPEG");
  header.height = static_cast<int>(height);
  header.width = static_cast<int>(width);
}

FileHeader read_jpeg_header(ImageFile& file) {
  FileHeader header;
  const std::string& name = file.name();
  bool turn_known = false;
  for (uint64_t at = 2;;) {
    const std::string_view start = file.bytes(at, 4);
    const auto check_there = [&](uint64_t end) {
      check(end <= file.size(), name, " is truncated: its ", file.size(), " bytes end before the picture's data begin");
    };
    check_there(at + 4);
    const unsigned char marker = byte(start, 1);
    if (byte(start, 0) != 0xFF || marker == 0xFF || stands_alone(marker)) {
      ++at;
      continue;
    }
    const uint64_t length = number(start, 2, 2);
    check(marker != 0xD9, name, " is broken: it ends before the picture's data begin");
    check(length >= 2, name, " is broken: a segment's length is ", length);
    check_there(at + 2 + length);
    const bool frame = begins_frame(marker);
    if (marker == 0xDA) {
      check(header.height > 0, name, " is broken: its data begin before a frame header");
      header.scan_at = at;
      return header;
    }
    check(!frame || header.height == 0, name, " is broken: it has two frame headers");
    if (frame) read_frame(file, marker, file.bytes(at + 4, std::min<uint64_t>(length - 2, 6)), header);
    if (marker == 0xE1 && !turn_known) {
      const std::string_view exif = file.bytes(at + 4, length - 2);
      turn_known = exif.starts_with(kExif);
      if (turn_known) header.orientation = exif_orientation(exif.substr(kExif.size()));
    }
    at += 2 + length;
  }
}

void read_png_start(ImageFile& file, FileHeader& header) {
  const std::string& name = file.name();
  const std::string_view start = file.bytes(kPngStart.size(), 25);  // length, type, 13 bytes, checksum
  check(start.size() == 25, name, " is truncated: ", file.size(), " bytes of PNG");
  check(start.substr(4, 4) == "IHDR", name, " is broken: it does not begin with an IHDR chunk");
  const uint64_t width = number(start, 8, 4), height = number(start, 12, 4), bits = number(start, 16, 1);
  const uint64_t colour = number(start, 17, 1);
  check(std::min(height, width) > 0 && std::max(height, width) <= INT_MAX, name, " is broken: its header says ", height,
        " x ", width, " pixels");
  // Deflate makes a byte of at most 1032.
  const uint64_t samples = colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1;
  const uint64_t row_bytes = 1 + (width * samples * bits + 7) / 8;
  check(row_bytes <= 1032 * file.size() / height, name, " is truncated: ", height, " x ", width,
        " pixels cannot lie in ", file.size(), " bytes of PNG");
  header.height = static_cast<int>(height);
  header.width = static_cast<int>(width);
}

FileHeader read_png_header(ImageFile& file) {
  FileHeader header;
  read_png_start(file, header);
  for (uint64_t at = kPngStart.size();;) {  // a chunk: length, type, data, checksum
    const std::string_view start = file.bytes(at, 8);
    const uint64_t length = start.size() == 8 ? number(start, 0, 4) : 0;
    check(start.size() == 8 && at + 12 + length <= file.size(), file.name(), " is truncated: ", file.size(),
          " bytes of PNG without an IEND chunk");
    const std::string_view type = start.substr(4);
    if (type == "IEND") return header;
    if (type == "eXIf") {
      const std::string_view exif = file.bytes(at + 8, length);
      header.orientation = exif_orientation(exif.starts_with(kExif) ? exif.substr(kExif.size()) : exif);
    }
    at += 12 + length;
  }
}

}  // namespace

// Not blocking: a pipe that nobody writes would be waited for.
ImageFile::Descriptor::Descriptor(const std::string& path)
    : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}

ImageFile::Descriptor::~Descriptor() {
  if (number >= 0) ::close(number);
}

ImageFile::ImageFile(const std::string& path) : name_("image " + path), descriptor_(path) {
  struct stat status {};
  const bool there = descriptor_.number >= 0 && ::fstat(descriptor_.number, &status) == 0;
  check(there, "cannot read ", name_, ": ", std::strerror(errno));
  check(!S_ISDIR(status.st_mode), name_, " is a folder");
  check(S_ISREG(status.st_mode), name_, " is no file but a pipe, socket or device");
  size_ = static_cast<uint64_t>(status.st_size);
  check(size_ > 0, name_, " is empty (0 bytes)");

  const std::string_view start = bytes(0, 32);
  format_ = start.starts_with(kPngStart) ? Format::png : Format::jpeg;
  if (format_ == Format::png || start.starts_with("\xFF\xD8")) return;
  const std::string_view other = other_format(start);
  check(other.empty(), name_, " is ", other, "; boxcam reads JPEG and PNG");
  fail(name_, " is neither a JPEG nor a PNG file");
}

std::string_view ImageFile::bytes(uint64_t at, uint64_t count) {
  if (at >= size_) return {};
  count = std::min(count, size_ - at);
  if (at < block_at_ || at + count > block_at_ + block_.size()) {
    block_.resize(std::min(std::max(count, kBlock), size_ - at));
    block_at_ = at;
    for (size_t done = 0; done < block_.size();) {
      const ssize_t got =
          ::pread(descriptor_.number, block_.data() + done, block_.size() - done, static_cast<off_t>(at + done));
      if (got < 0 && errno == EINTR) continue;
      check(got >= 0, "cannot read ", name_, ": ", std::strerror(errno));
      check(got > 0, "cannot read ", name_, ": it became shorter than ", size_, " bytes");
      done += static_cast<size_t>(got);
    }
  }
  return std::string_view(block_).substr(at - block_at_, count);
}

FileHeader read_header(ImageFile& file) {
  return file.format() == ImageFile::Format::jpeg ? read_jpeg_header(file) : read_png_header(file);
}

JpegScans scans_of(std::string_view bytes, uint64_t scan_at) {
  JpegScans scans;
  for (size_t at = scan_at; at + 2 <= bytes.size();) {
    const unsigned char marker = byte(bytes, at + 1);
    if (byte(bytes, at) != 0xFF) {  // the scan's data, or what some cameras leave behind them
      at = std::min(bytes.find('\xFF', at), bytes.size());
    } else if (marker == 0xFF) {
      at += 1;
    } else if (stands_alone(marker)) {
      at += 2;
    } else if (marker == 0xD9) {
      scans.has_end = true;
      return scans;
    } else {
      if (at + 4 > bytes.size()) return scans;
      scans.count += marker == 0xDA;
      at += 2 + number(bytes, at + 2, 2);
    }
  }
  return scans;
}

namespace {

/// Of the tables in one segment, which begins with its length. A reader may go on behind the segment's end.
bool tables_fit(std::string_view segment) {
  const size_t end = segment.size() < 2 ? 0 : number(segment, 0, 2);
  for (size_t at = 2; at < end;) {  // a table: its number, how many codes of 1 to 16 bits, the codes
    uint64_t codes = 0;
    for (size_t i = at + 1; i <= at + 16 && i < segment.size(); ++i) codes += byte(segment, i);
    if (codes > 256) return false;
    at += 17 + codes;
  }
  return true;
}

}  // namespace

bool huffman_tables_fit(std::string_view bytes, uint64_t scan_at) {
  constexpr std::string_view marker = "\xFF\xC4";
  for (size_t at = 2; at + 4 <= scan_at;) {
    const unsigned char second = byte(bytes, at + 1);
    if (byte(bytes, at) != 0xFF || second == 0xFF || stands_alone(second)) {
      ++at;
      continue;
    }
    if (bytes.substr(at).starts_with(marker) && !tables_fit(bytes.substr(at + 2))) return false;
    at += 2 + number(bytes, at + 2, 2);
  }
  // Within a scan's data these two bytes are a marker wherever they stand.
  for (size_t at = bytes.find(marker, scan_at); at != bytes.npos; at = bytes.find(marker, at + 2))
    if (!tables_fit(bytes.substr(at + 2))) return false;
  return true;
}

int exif_orientation(std::string_view tiff) {
  const bool big = tiff.starts_with("MM\0*"sv);
  if (tiff.size() < 8 || (!big && !tiff.starts_with("II*\0"sv))) return 1;
  const uint64_t directory = number(tiff, 4, 4, big);
  if (directory + 2 > tiff.size()) return 1;
  const uint64_t entries = number(tiff, directory, 2, big);
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t at = directory + 2 + 12 * i;  // tag, type, count, value
    if (at + 12 > tiff.size()) return 1;
    if (number(tiff, at, 2, big) != 0x0112) continue;
    const uint64_t type = number(tiff, at + 2, 2, big);
    if (type != 3 && type != 4) return 1;  // SHORT, as it should be, or LONG
    const uint64_t value = number(tiff, at + 8, type == 3 ? 2 : 4, big);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace boxcam
