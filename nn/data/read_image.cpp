// Pictures from files: what image.h declares of them.
#include "nn/data/image.h"
#include "nn/data/image_file.h"
#include "nn/data/jpeg.h"
#include "nn/data/stb.h"

namespace boxcam {

Image read_image(const std::string& path) {
  ImageFile file(path);
  const std::string_view bytes = file.all();
  const FileHeader header = read_header(file);
  return file.format() == ImageFile::Format::png ? decode_with_stb(bytes, file.name())
                                                 : decode_jpeg(bytes, header, file.name()).image;
}

ImageHeader inspect_image(const std::string& path) {
  ImageFile file(path);
  const FileHeader found = read_header(file);
  ImageHeader header{found.height, found.width, found.orientation, ""};
  if (file.format() == ImageFile::Format::png || file.bytes(file.size() - 2, 2) == "\xFF\xD9") return header;
  const std::string_view bytes = file.all();
  if (!scans_of(bytes, found.scan_at).has_end && !decode_jpeg(bytes, found, file.name()).has_end)
    header.note = file.name() + " has no end marker; its picture is whole";
  return header;
}

}  // namespace boxcam
