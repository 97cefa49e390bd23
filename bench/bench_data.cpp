// The data path: decoding, resizing, drawing, packed files, and the loader, next to what a training step takes. of_need
// is the images per second over those of a cross-entropy step alone on this machine, of_bf16_need the same with bf16
// activations, where the processor has them (below 1 the step would wait); a loader works beside the step on the same
// cores, so that it should be several times 1. Without an argument for threads a row is what one thread does.
// The JPEGs are scenes of 1024 x 768 pixels, the size of OpenImages' files, with the camera's noise, at quality 90.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb_image_write.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>

#include "bench/step.h"
#include "nn/data/image.h"
#include "nn/data/loader.h"
#include "nn/data/packed.h"
#include "nn/data/scenes/scenes.h"

namespace boxcam::bench {
namespace {

namespace fs = std::filesystem;

/// A folder of JPEGs as a data set; each file counts several times.
class JpegFiles : public Dataset {
 public:
  JpegFiles() : folder_(fs::temp_directory_path() / str("boxcam_bench_data_", getpid())) {
    fs::create_directories(folder_);
    SceneOptions options;
    options.image_size = 1024;
    for (int i = 0; i < kFiles; ++i) {
      const Image image = crop(draw_scene(0, ScenesSplit::train, i, options).image, 128, 0, 768, 1024);
      check(stbi_write_jpg(path(i).c_str(), image.width, image.height, 3, image.pixels.data(), 90) != 0, path(i),
            ": cannot be written");
    }
  }
  ~JpegFiles() override { fs::remove_all(folder_); }

  std::string path(int64_t index) const { return folder_ / str(index % kFiles, ".jpg"); }
  double mean_bytes() const {
    double sum = 0;
    for (int i = 0; i < kFiles; ++i) sum += static_cast<double>(fs::file_size(path(i)));
    return sum / kFiles;
  }

  int64_t size() const override { return 4 * kFiles; }
  Sample load(int64_t index) const override {
    return {read_image(path(index)), label(index), {}, std::to_string(index), ""};
  }
  int64_t label(int64_t index) const override { return index % kClasses; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "JPEG files"; }
  std::string identity() const override { return "JPEG files"; }

 private:
  static constexpr int kFiles = 16;
  fs::path folder_;
  std::vector<std::string> classes_ = {"plane", "ship", "car", "none"};
};

const JpegFiles& jpeg_files() {
  static const JpegFiles files;
  return files;
}

/// The JPEGs at 224 px in a packed file, as `prepare` writes it.
class PackedJpegs {
 public:
  PackedJpegs() : path_(fs::temp_directory_path() / str("boxcam_bench_data_", getpid(), ".packed")) {
    const JpegFiles& files = jpeg_files();
    PackedWriter writer(path_, files.classes(), {});
    writer.start_split("train", true);
    for (int64_t i = 0; i < files.size(); ++i) writer.add(prepare(files.load(i), {224}, nullptr));
    writer.finish();
    data = packed_dataset(std::make_shared<PackedFile>(path_), "train");
  }
  ~PackedJpegs() { fs::remove(path_); }

  std::unique_ptr<Dataset> data;

 private:
  std::string path_;
};

const Dataset& packed_jpegs() {
  static const PackedJpegs packed;
  return *packed.data;
}

/// Images per second of training steps.
struct Need {
  double f32, bf16;
};
double needed(const std::string& model, int64_t batch, int64_t size, DType activations) {
  if (activations == DType::bf16 && !cpu_has_bf16()) return 0;
  CrossEntropyStep step(model, batch, size, activations);
  return static_cast<double>(batch) / best_seconds(2, step);
}
const Need& need_of_resnet50() {
  static const Need need{needed("resnet50", 16, 224, DType::f32), needed("resnet50", 16, 224, DType::bf16)};
  return need;
}
const Need& need_of_resnet_mini() {
  static const Need need{needed("resnet-mini", 32, 96, DType::f32), needed("resnet-mini", 32, 96, DType::bf16)};
  return need;
}

void report_images(benchmark::State& state, double images, double seconds, const Need& need) {
  state.counters["images/s"] = images / seconds;
  state.counters["of_need"] = images / seconds / need.f32;
  if (need.bf16 > 0) state.counters["of_bf16_need"] = images / seconds / need.bf16;
}

void decode_jpeg(benchmark::State& state) {
  const JpegFiles& files = jpeg_files();
  int64_t next = 0;
  Image image;
  const double seconds = measure(state, 0, [&] { image = read_image(files.path(next++)); });
  state.SetLabel(str(image.width, " x ", image.height, ", ", std::llround(files.mean_bytes() / 1e3), " kB each"));
  state.counters["Mpixel/s"] = image.width * image.height / seconds / 1e6;
  report_images(state, 1, seconds, need_of_resnet50());
}

/// All that is done for a photograph before a step: read, decode, resize to 224 px.
void prepare_jpeg(benchmark::State& state) {
  int64_t next = 0;
  const double seconds = measure(state, 0, [&] { prepare(jpeg_files().load(next++), {224}, nullptr); });
  report_images(state, 1, seconds, need_of_resnet50());
}

/// The same where the data set is packed: the bytes of 224 px out of the mapped file, their checksum compared.
void load_packed_sample(benchmark::State& state) {
  const Dataset& data = packed_jpegs();
  int64_t next = 0;
  const double seconds = measure(state, 0, [&] { data.load(next++ % data.size()); });
  state.counters["GB/s"] = 3.0 * 224 * 224 / seconds / 1e9;
  report_images(state, 1, seconds, need_of_resnet50());
}

/// The checksum's part of it.
void checksum_of_sample(benchmark::State& state) {
  const Sample sample = packed_jpegs().load(0);
  const std::vector<uint8_t>& pixels = sample.image.pixels;
  const double seconds = measure(state, 0, [&] { benchmark::DoNotOptimize(crc32_z(0, pixels.data(), pixels.size())); });
  state.counters["GB/s"] = static_cast<double>(pixels.size()) / seconds / 1e9;
  report_images(state, 1, seconds, need_of_resnet50());
}

/// Squashes to the network's input. The bytes are those of the source, read once, and of the result.
void resize_image(benchmark::State& state, int height, int width, int to) {
  Image image(height, width);
  Random random(0);
  for (uint8_t& p : image.pixels) p = static_cast<uint8_t>(random.next());
  const double seconds = measure(state, 0, [&] { benchmark::DoNotOptimize(resize(image, to, to)); });
  report_bytes(state, static_cast<double>(image.pixels.size()) + 3.0 * to * to, seconds);
  report_images(state, 1, seconds, need_of_resnet50());
}

void draw(benchmark::State& state, int size) {
  SceneOptions options;
  options.image_size = size;
  int64_t next = 0;
  const double seconds = measure(state, 0, [&] { draw_scene(0, ScenesSplit::train, next++, options); });
  report_images(state, 1, seconds, size == 96 ? need_of_resnet_mini() : need_of_resnet50());
}

/// An epoch of shuffled, flipped batches, as in training. `cached`: as from the second epoch on.
void load(benchmark::State& state, const Dataset& data, int64_t batch, int size, bool cached, const Need& need) {
  LoaderOptions options;
  options.batch = batch;
  options.preprocess = {size, Preprocess::Resize::squash, Preprocess::Augment::flip};
  options.shuffle = options.augment = true;
  options.threads = static_cast<int>(state.range(0));
  if (cached) options.cache_bytes = int64_t{1} << 30;
  Loader loader(data, options);
  int64_t epoch = 0;
  const double seconds = measure(state, 0, [&] {
    loader.start_epoch(epoch++);
    while (loader.next()) {
    }
  });
  report_images(state, static_cast<double>(data.size()), seconds, need);
}

void load_jpegs(benchmark::State& state, bool cached) {
  load(state, jpeg_files(), 16, 224, cached, need_of_resnet50());
}
void load_packed(benchmark::State& state) { load(state, packed_jpegs(), 16, 224, false, need_of_resnet50()); }
void load_scenes(benchmark::State& state, bool cached) {
  load(state, Scenes(0, 256, ScenesSplit::train), 32, 96, cached, need_of_resnet_mini());
}

void register_all() {
  add("decode_jpeg", decode_jpeg);
  add("prepare_jpeg/224", prepare_jpeg);
  add("packed/224", load_packed_sample);
  add("packed/224/checksum", checksum_of_sample);
  add("resize/1024x768_to_224", resize_image, 768, 1024, 224);
  add("resize/1024x683_to_224", resize_image, 683, 1024, 224);
  add("resize/500x375_to_224", resize_image, 375, 500, 224);
  add("resize/1024x768_to_96", resize_image, 768, 1024, 96);
  for (const int size : {96, 224}) add(str("draw_scene/", size), draw, size);
  for (const bool cached : {false, true}) {
    const std::string name = cached ? "_cached" : "";
    add("loader/jpeg_224" + name, load_jpegs, cached)->Arg(1)->Arg(2);
    add("loader/scenes_96" + name, load_scenes, cached)->Arg(1)->Arg(2);
  }
  add("loader/packed_224", load_packed)->Arg(1)->Arg(2);
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
