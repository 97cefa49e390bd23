#include "nn/data/jpeg.h"

#include "engine/base/check.h"
#include "nn/data/image.h"

#ifdef BOXCAM_HAS_LIBJPEG
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <vector>

#include <jerror.h>
#include <jpeglib.h>
#else
#include "nn/data/stb.h"
#endif

namespace boxcam {

namespace {

/// Cameras and programs write a dozen. Each goes over the whole picture, and takes a handful of bytes where it changes
/// nothing: a short file could ask for hours.
constexpr int kMostScans = 100;

JpegScans checked_scans(std::string_view bytes, const FileHeader& header, const std::string& name) {
  const JpegScans scans = scans_of(bytes, header.scan_at);
  check(scans.count <= kMostScans, name, " is a JPEG of ", scans.count, " scans; boxcam reads those of at most ",
        kMostScans);
  return scans;
}

}  // namespace

#ifdef BOXCAM_HAS_LIBJPEG

namespace {

constexpr int kEndMarker = 0xD9;

/// libjpeg's state, and why it stopped. Its errors return to `stop` with longjmp, so between `guarded` and libjpeg lie
/// no objects with a destructor.
struct Decoder {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf stop;
  char reason[JMSG_LENGTH_MAX] = "";
  bool truncated = false;
  bool out_of_bytes = false;  ///< the file ended, and libjpeg went on as if there were an end marker

  Decoder();
  ~Decoder() { jpeg_destroy_decompress(&jpeg); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

[[noreturn]] void give_up(j_common_ptr jpeg) {
  Decoder& decoder = *static_cast<Decoder*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, decoder.reason);
  decoder.truncated |= decoder.out_of_bytes;  // whatever it then complains of
  std::longjmp(decoder.stop, 1);
}

/// What libjpeg only warns of. It then fills in or guesses, so a warning about the picture's data ends the decoding.
void weigh_warning(j_common_ptr common, int level) {
  if (level >= 0) return;  // it tells what it does
  Decoder& decoder = *static_cast<Decoder*>(common->client_data);
  const jpeg_decompress_struct& jpeg = decoder.jpeg;
  switch (common->err->msg_code) {
    case JWRN_ADOBE_XFORM:     // an unknown number for the colours: taken as by everyone, YCbCr or YCCK
    case JWRN_JFIF_MAJOR:      // a version to come
    case JWRN_NOT_SEQUENTIAL:  // numbers that mean nothing in a baseline JPEG
      return;
    case JWRN_JPEG_EOF: decoder.out_of_bytes = true; return;
    case JWRN_EXTRANEOUS_DATA:  // in the header, or between the last scan and the end marker
      if (jpeg.input_scan_number == 0 || common->err->msg_parm.i[1] == kEndMarker) return;
      break;
    case JWRN_HIT_MARKER:   // the data end within a scan,
    case JWRN_MUST_RESYNC:  // or where a restart marker should be
      decoder.truncated = jpeg.unread_marker == kEndMarker;
      break;
    default: break;
  }
  give_up(common);
}

Decoder::Decoder() {
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = give_up;
  errors.emit_message = weigh_warning;
  jpeg.client_data = this;
}

/// Runs an action that calls libjpeg; false when libjpeg gave up.
template <class Action>
[[gnu::noinline]] bool guarded(Decoder& decoder, const Action& action) {
  if (setjmp(decoder.stop) != 0) return false;
  action();
  return true;
}

/// Whether all scans of a JPEG with several were there: libjpeg shows what it has.
bool has_all_scans(const jpeg_decompress_struct& jpeg) {
  for (int c = 0; c < jpeg.num_components; ++c) {
    if (jpeg.comp_info[c].quant_table == nullptr) return false;  // in no scan
    for (int k = 0; jpeg.progressive_mode && k < DCTSIZE2; ++k)
      if (jpeg.coef_bits[c][k] != 0) return false;  // bits of this coefficient are still to come
  }
  return true;
}

/// After the last row.
bool end_was_seen(Decoder& decoder) {
  if (decoder.out_of_bytes) return false;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  if (jpeg_input_complete(&jpeg) || jpeg.unread_marker == kEndMarker) return true;
  const std::string_view rest(reinterpret_cast<const char*>(jpeg.src->next_input_byte), jpeg.src->bytes_in_buffer);
  return rest.find("\xFF\xD9") != std::string_view::npos;
}

/// As Pillow's convert("RGB"): CMYK in JPEGs is inverted, by Adobe's custom.
void cmyk_to_rgb(const JSAMPLE* cmyk, uint8_t* rgb, int width) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * cmyk[3] + 128;
      rgb[c] = static_cast<uint8_t>(cmyk[3] - ((product + (product >> 8)) >> 8));
    }
}

void read_markers(Decoder& decoder, std::string_view bytes) {
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
}

void start_decoding(Decoder& decoder) {
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg.out_color_space = jpeg.num_components == 4 ? JCS_CMYK : JCS_RGB;
  // The pixels hang on these two. They are Pillow's and torchvision's choice, too.
  jpeg.dct_method = JDCT_ISLOW;
  jpeg.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&jpeg);  // reads all scans where there are several
}

void read_rows(Decoder& decoder, Image& image, std::vector<JSAMPLE>& cmyk) {
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  while (jpeg.output_scanline < jpeg.output_height) {
    uint8_t* rgb = image.at(static_cast<int>(jpeg.output_scanline), 0);
    JSAMPROW row = cmyk.empty() ? rgb : cmyk.data();
    jpeg_read_scanlines(&jpeg, &row, 1);
    if (!cmyk.empty()) cmyk_to_rgb(cmyk.data(), rgb, image.width);
  }
}

}  // namespace

std::string jpeg_decoder() { return "libjpeg-turbo"; }

DecodedJpeg decode_jpeg(std::string_view bytes, const FileHeader& header, const std::string& name) {
  checked_scans(bytes, header, name);
  Decoder decoder;
  const auto check_read = [&](bool well) {
    check(well || !decoder.truncated, name, " is truncated: ", bytes.size(), " bytes of JPEG end before the picture");
    check(well, name, " is broken: ", decoder.reason);
  };
  check_read(guarded(decoder, [&] { read_markers(decoder, bytes); }));
  // Before memory is asked for: how much, the header has answered for.
  const int height = static_cast<int>(decoder.jpeg.image_height), width = static_cast<int>(decoder.jpeg.image_width);
  check(height == header.height && width == header.width && decoder.jpeg.num_components == header.components, name,
        " is broken: it has two frame headers");
  check_read(guarded(decoder, [&] { start_decoding(decoder); }));
  check(!jpeg_has_multiple_scans(&decoder.jpeg) || has_all_scans(decoder.jpeg), name, " is truncated: ", bytes.size(),
        " bytes of JPEG without the last scans of the picture");

  DecodedJpeg decoded{Image(height, width), false};
  std::vector<JSAMPLE> cmyk(header.components == 4 ? size_t(width) * 4 : 0);
  check_read(guarded(decoder, [&] { read_rows(decoder, decoded.image, cmyk); }));
  decoded.has_end = end_was_seen(decoder);
  return decoded;
}

#else

std::string jpeg_decoder() { return "stb_image"; }

DecodedJpeg decode_jpeg(std::string_view bytes, const FileHeader& header, const std::string& name) {
  check(header.components != 4, name, " is a CMYK JPEG, which takes a build with libjpeg-turbo");
  // stb decodes a cut-off JPEG without complaint: the rest is grey.
  check(checked_scans(bytes, header, name).has_end, name, " is truncated: ", bytes.size(),
        " bytes of JPEG without an end marker (whether the picture is whole, only a build with libjpeg-turbo can see)");
  check(huffman_tables_fit(bytes, header.scan_at), name, " is broken: a Huffman table of more than 256 codes");
  return {decode_with_stb(bytes, name), true};
}

#endif

}  // namespace boxcam
