// Named tensors in a file: the safetensors format, read with every field checked, written without ever losing what was
// there before. https://github.com/huggingface/safetensors describes the format.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace boxcam {

/// How a file stores a number. f16 and bf16 become f32 when read. i64 has no DType (no op needs it), but files do have
/// it: batch counters, random states, steps.
enum class StoredType { f32, f64, f16, bf16, i64, i32, u8 };
size_t item_size(StoredType type);
/// Whether the bytes of a tensor, and the strides of one that has none, are numbers of 64 bits, which Shape::numel and
/// ops take for granted: [2^40, 2^40, 0] has no elements, but no strides either.
bool is_countable(const std::vector<int64_t>& extents, size_t item_size);

/// An entry of a file: either `tensor` (f32, f64, i32 or u8, on the CPU), or 64-bit integers, kept exactly.
struct FileTensor {
  FileTensor(std::string name_, Tensor tensor_) : name(std::move(name_)), tensor(std::move(tensor_)) {}
  FileTensor(std::string name_, Shape shape_, std::vector<int64_t> values)
      : name(std::move(name_)), int64(std::move(values)), int64_shape(std::move(shape_)) {}

  bool is_int64() const { return !tensor.defined(); }
  const Shape& shape() const { return is_int64() ? int64_shape : tensor.shape(); }

  std::string name;
  Tensor tensor;               ///< undefined where the entry is int64
  std::vector<int64_t> int64;  ///< row-major
  Shape int64_shape;
};

/// Decodes little-endian, row-major `bytes`, which must be exactly as many as type and shape ask for.
FileTensor decode_tensor(const std::string& name, StoredType type, const Shape& shape, std::span<const char> bytes);

struct TensorFile {
  std::string path;                 ///< where it was read from, for messages
  std::vector<FileTensor> tensors;  ///< in the file's own order; names are unique
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;  ///< what a reader of the report should know, one sentence each

  const FileTensor* find(const std::string& name) const;  ///< null when absent
  const FileTensor& at(const std::string& name) const;    ///< Error naming file and tensor when absent
  int64_t int64_at(const std::string& name) const;        ///< the value of a one-element int64 entry, else Error
};

/// Reads F32, F64, F16, BF16 (both to f32), I64, I32 and U8. Throws Error naming the file, and the tensor where there
/// is one, unless the header is as the format demands, the tensors fill the rest without gap or overlap, and, in a file
/// that write_safetensors made, each has its checksum.
TensorFile read_safetensors(const std::string& path);

/// Whether the file begins as one of this format; false where there is none. Throws Error where reading fails.
bool is_safetensors(const std::string& path);

/// The metadata of a safetensors file; empty for a file of another format. Throws Error when the file cannot be read
/// and for a damaged header.
std::map<std::string, std::string> read_metadata(const std::string& path);

/// SHA-256 over the tensors alone, by name: name, dtype, shape and bytes of each. Equal for files with the same weights
/// whatever their metadata say and whatever their order is.
std::string tensors_sha256(const TensorFile& content);

/// Writes `tensors` and `metadata`, and among the latter the CRC-32 of each tensor's bytes (`tensors-crc32`: a JSON
/// object as text), which reading compares and takes out again; the same content gives the same bytes. The header lists
/// the tensors in their order; the data are laid out by descending item size (as the reference implementation does), so
/// that each is aligned. The bytes go to `path`.partial first, which then takes the place of `path` in one step:
/// whatever happens, `path` is the old file or the new one, complete. Throws Error when the file cannot be written or
/// two names are equal.
void write_safetensors(const std::string& path, const TensorFile& content);

}  // namespace boxcam
