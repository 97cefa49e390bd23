#include "xai/overlay.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "engine/base/check.h"
#include "nn/data/image.h"
#include "xai/overlay_font.h"

namespace boxcam {
namespace {

using Rgb = std::array<uint8_t, 3>;
constexpr Rgb white{255, 255, 255}, black{0, 0, 0}, background{18, 20, 24}, bar{34, 37, 44}, grey{176, 182, 192},
    amber{255, 190, 60}, green{70, 200, 110}, red{240, 75, 70};

// How often a line's or letter's pixel is repeated, so that large pictures stay readable when shown reduced.
int detail(int height, int width) { return std::max(1, std::min(height, width) / 400); }

Rgb mix(const uint8_t* from, Rgb to, double share) {
  Rgb mixed;
  for (int c = 0; c < 3; ++c) mixed[c] = static_cast<uint8_t>(std::lround(from[c] + (to[c] - from[c]) * share));
  return mixed;
}

void put(Image& canvas, int y, int x, Rgb colour) { std::copy_n(colour.data(), 3, canvas.at(y, x)); }

// A rectangle in whole pixels; the right and bottom edges are the first ones outside.
struct Area {
  int left, top, right, bottom;
  Area grown(int by) const { return {left - by, top - by, right + by, bottom + by}; }
};

void fill(Image& canvas, Area area, Rgb colour) {
  for (int y = std::max(0, area.top); y < std::min(canvas.height, area.bottom); ++y)
    for (int x = std::max(0, area.left); x < std::min(canvas.width, area.right); ++x) put(canvas, y, x, colour);
}

// The frame of `width` pixels along the inside of the area's edge.
void frame(Image& canvas, Area area, int width, Rgb colour) {
  const auto [left, top, right, bottom] = area;
  fill(canvas, {left, top, right, std::min(bottom, top + width)}, colour);
  fill(canvas, {left, std::max(top, bottom - width), right, bottom}, colour);
  fill(canvas, {left, top, std::min(right, left + width), bottom}, colour);
  fill(canvas, {std::max(left, right - width), top, right, bottom}, colour);
}

void paste(Image& canvas, const Image& picture, int left, int top) {
  for (int y = 0; y < picture.height; ++y)
    std::copy_n(picture.at(y, 0), size_t(picture.width) * 3, canvas.at(top + y, left));
}

Image blank(int height, int width, Rgb colour) {
  Image image(height, width);
  fill(image, {0, 0, width, height}, colour);
  return image;
}

// What the font has letters for: control characters become spaces, each other UTF-8 sequence one question mark.
std::string printable(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) continue;
    result += byte < ' ' ? ' ' : byte < 0x7F ? c : '?';
  }
  return result;
}

int text_width(const std::string& text, int scale) {
  return static_cast<int>(printable(text).size()) * font::width * scale;
}

// One line with its top left corner at (left, top), shortened to `space` pixels where it is longer.
void write(Image& canvas, int left, int top, int space, int scale, const std::string& text, Rgb colour) {
  std::string line = printable(text);
  const size_t fits = static_cast<size_t>(std::max(0, space / (font::width * scale)));
  if (line.size() > fits) {
    line.resize(fits == 0 ? 0 : fits - 1);
    line.erase(line.find_last_not_of(' ') + 1);
    if (fits > 0) line += font::ellipsis;
  }
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (const char c : line) {
    for (int y = 0; y < font::height; ++y) {
      const size_t at = (size_t(c - font::first) * font::height + y) * 2;
      const int row = digit(font::bitmaps[at]) << 4 | digit(font::bitmaps[at + 1]);
      for (int x = 0; x < font::width; ++x) {
        const int x0 = left + x * scale, y0 = top + y * scale;
        if (row & 0x80 >> x) fill(canvas, {x0, y0, x0 + scale, y0 + scale}, colour);
      }
    }
    left += font::width * scale;
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

int caption_height(const OverlayText& text, int scale) {
  return (font::height + 10 + static_cast<int>(lines_of(text.note).size()) * (font::height + 4)) * scale;
}

// Fills the canvas from `top` on.
void draw_caption(Image& canvas, int top, int scale, const OverlayText& text, bool empty) {
  fill(canvas, {0, top, canvas.width, canvas.height}, bar);
  int left = 6 * scale, right = canvas.width - 6 * scale;
  const int line = top + 5 * scale;
  if (text.correct) {
    fill(canvas, {0, top, 4 * scale, canvas.height}, *text.correct ? green : red);
    left += 4 * scale;
  }
  int below = line;
  for (const std::string& each : lines_of(text.note))
    write(canvas, left, below += (font::height + 4) * scale, right - left, scale, each, grey);
  if (empty) {
    // The title gives way to the mark, so that no empty map goes unnoticed.
    const std::string mark = "empty CAM";
    const int start = std::max(left, right - text_width(mark, scale));
    write(canvas, start, line, right - start, scale, mark, amber);
    right = start - font::width * scale;
  }
  write(canvas, left, line, right - left, scale, text.title, white);
}

void draw_boxes(Image& picture, const std::vector<Box>& boxes, double factor) {
  const int width = 2 * detail(picture.height, picture.width), rim = width / 2;
  std::vector<Area> areas;
  for (const Box& box : boxes) {
    const auto edge = [&](double at, int end) {
      return static_cast<int>(std::lround(std::clamp(at * factor, 0.0, static_cast<double>(end))));
    };
    const Area area{edge(box.x_min, picture.width), edge(box.y_min, picture.height), edge(box.x_max, picture.width),
                    edge(box.y_max, picture.height)};
    if (area.left < area.right && area.top < area.bottom) areas.push_back(area);
  }
  // All rims first: where boxes cross, every white line stays whole.
  for (const Area& area : areas) frame(picture, area.grown(rim), width + 2 * rim, black);
  for (const Area& area : areas) frame(picture, area, width, white);
}

// A bar from 0 to 1, upright (1 on top) or lying (1 on the right).
void draw_scale(Image& canvas, Area area, bool upright) {
  fill(canvas, area.grown(1), grey);
  for (int y = area.top; y < area.bottom; ++y)
    for (int x = area.left; x < area.right; ++x)
      put(canvas, y, x,
          heat_colour(upright ? (area.bottom - 0.5 - y) / (area.bottom - area.top)
                              : (x + 0.5 - area.left) / (area.right - area.left)));
}

// The image in the size in which it is shown, with what is shown of it.
struct Shown {
  Image image, heat, overlay;
  double factor;
  int scale;
  bool empty;
};

Shown show(const Image& image, std::span<const float> cam, const OverlayStyle& style) {
  check(image.height > 0 && image.width > 0, "overlay: the image is ", image.height, " x ", image.width);
  check(cam.size() == size_t(image.height) * image.width, "overlay: the heat map has ", cam.size(),
        " values, the image ", image.height, " x ", image.width, " pixels");
  check(style.opacity >= 0 && style.opacity <= 1, "overlay: opacity must be in [0, 1], got ", style.opacity);
  check(std::none_of(cam.begin(), cam.end(), [](float value) { return std::isnan(value); }),
        "overlay: the heat map holds NaN");

  Shown shown{image, Image(image.height, image.width), Image(image.height, image.width), 1, 1, true};
  for (size_t i = 0; i < cam.size(); ++i) {
    const double value = std::clamp(cam[i], 0.0f, 1.0f);
    const Rgb heat = heat_colour(value);
    // The square root lifts weak heat, which a linear blend would hide in the picture.
    const Rgb blend = mix(&image.pixels[i * 3], heat, style.opacity * std::sqrt(value));
    std::copy_n(heat.data(), 3, &shown.heat.pixels[i * 3]);
    std::copy_n(blend.data(), 3, &shown.overlay.pixels[i * 3]);
    shown.empty = shown.empty && value == 0;
  }
  const int side = std::max(image.height, image.width), factor = std::max(1, (style.min_side + side - 1) / side);
  for (Image* picture : {&shown.image, &shown.heat, &shown.overlay})
    *picture = resize(*picture, image.height * factor, image.width * factor);
  shown.factor = factor;
  shown.scale = detail(shown.image.height, shown.image.width);
  return shown;
}

}  // namespace

Rgb heat_colour(double value) {
  constexpr Rgb stops[] = {{22, 40, 178}, {42, 145, 172}, {95, 200, 110}, {250, 222, 60}, {250, 130, 36}, {240, 16, 8}};
  constexpr int last = std::size(stops) - 1;
  const double at = std::clamp(value, 0.0, 1.0) * last;
  const int below = std::min(static_cast<int>(at), last - 1);
  return mix(stops[below].data(), stops[below + 1], at - below);
}

Image overlay(const Image& image, std::span<const float> cam, const std::vector<Box>& boxes, const OverlayText& text,
              const OverlayStyle& style) {
  Shown shown = show(image, cam, style);
  draw_boxes(shown.overlay, boxes, shown.factor);
  const int height = shown.image.height, width = shown.image.width;
  if (text.title.empty() && text.note.empty()) return shown.overlay;
  Image canvas = blank(height + caption_height(text, shown.scale), width, bar);
  paste(canvas, shown.overlay, 0, 0);
  draw_caption(canvas, height, shown.scale, text, shown.empty);
  return canvas;
}

Image panel(const Image& image, std::span<const float> cam, const std::vector<Box>& boxes, const OverlayText& text,
            const OverlayStyle& style) {
  Shown shown = show(image, cam, style);
  draw_boxes(shown.image, boxes, shown.factor);
  draw_boxes(shown.overlay, boxes, shown.factor);
  const int height = shown.image.height, width = shown.image.width, scale = shown.scale, gap = 8 * scale;
  const int bar_left = width + gap + width + gap, number_left = bar_left + 12 * scale + gap;
  const int third = number_left + text_width("0", scale) + gap;
  Image canvas = blank(height + caption_height(text, scale), third + width, background);
  paste(canvas, shown.image, 0, 0);
  paste(canvas, shown.heat, width + gap, 0);
  paste(canvas, shown.overlay, third, 0);

  const int letters = font::height * scale;
  draw_scale(canvas, {bar_left, 1, number_left - gap, height - 1}, true);
  write(canvas, number_left, 0, third - number_left, scale, "1", grey);
  write(canvas, number_left, height - letters, third - number_left, scale, "0", grey);
  draw_caption(canvas, height, scale, text, shown.empty);
  return canvas;
}

Image sheet(const std::vector<Image>& tiles, int columns, const std::string& title, const std::string& scale_name) {
  check(!tiles.empty(), "sheet: there is no picture to show");
  check(columns > 0, "sheet: columns must be positive, got ", columns);
  const int count = static_cast<int>(tiles.size());
  columns = std::min(columns, count);
  int cell = 0;
  std::vector<int> rows((count + columns - 1) / columns);
  for (int i = 0; i < count; ++i) {
    check(tiles[i].height > 0 && tiles[i].width > 0, "sheet: picture ", i, " is ", tiles[i].height, " x ",
          tiles[i].width);
    cell = std::max(cell, tiles[i].width);
    rows[i / columns] = std::max(rows[i / columns], tiles[i].height);
  }
  const int scale = detail(rows[0], cell), margin = 12 * scale, width = margin + columns * (cell + margin);

  // The header: title on the left, legend (name 0 [bar] 1) on the right, or below where both do not fit side by side.
  const int letters = font::height * scale, space = font::width * scale, bar_length = 96 * scale;
  const int inside = width - 2 * margin, name_space = std::max(0, inside - bar_length - 5 * space);
  const int name_width = std::min(text_width(scale_name, scale), name_space);
  const int legend = name_width + bar_length + 5 * space;
  const bool one_line = text_width(title, scale) + margin + legend <= inside;
  const int header = title.empty() ? 0 : margin + letters + (one_line ? 0 : letters + margin / 2);

  int height = margin + header;
  for (const int row : rows) height += row + margin;
  Image canvas = blank(height, width, background);
  if (!title.empty()) {
    write(canvas, margin, margin, inside, scale, title, white);
    const int line = one_line ? margin : margin + letters + margin / 2;
    const int name = one_line ? width - margin - legend : margin, low = name + name_width + 3 * space;
    write(canvas, name, line, name_width, scale, scale_name, grey);
    write(canvas, low - 3 * space / 2, line, space, scale, "0", grey);
    draw_scale(canvas, {low, line + scale, low + bar_length, line + letters - scale}, false);
    write(canvas, low + bar_length + space / 2, line, space, scale, "1", grey);
  }
  int top = margin + header;
  for (int i = 0; i < count; ++i) {
    const int column = i % columns;
    paste(canvas, tiles[i], margin + column * (cell + margin) + (cell - tiles[i].width) / 2, top);
    if (column == columns - 1) top += rows[i / columns] + margin;
  }
  return canvas;
}

}  // namespace boxcam
