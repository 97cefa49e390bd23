#include "nn/files/npy.h"

#include <bit>

#include "engine/base/file.h"

namespace boxcam {
namespace {

static_assert(std::endian::native == std::endian::little, "the memory of a tensor is written as it is");

const char* type_code(DType dtype) {
  switch (dtype) {
    case DType::f32: return "<f4";
    case DType::f64: return "<f8";
    case DType::i32: return "<i4";
    case DType::u8: return "|u1";
    case DType::bf16: break;  // NumPy has none: written as f32
  }
  fail("no NumPy type for ", dtype);
}

std::string header(const Tensor& tensor) {
  std::string text = str("{'descr': '", type_code(tensor.dtype()), "', 'fortran_order': False, 'shape': (");
  // Python's notation of a tuple: the comma after the last extent makes (3,) one.
  for (const int64_t extent : tensor.shape().dims()) text += str(extent, ", ");
  text += "), }";
  const size_t before = 10, alignment = 64;  // magic, version and length; where the format wants the data to start
  text.append(alignment - 1 - (before + text.size()) % alignment, ' ');
  text += '\n';
  const size_t length = text.size();
  check(length <= 0xFFFF, "shape too long for .npy version 1.0");
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(length & 0xFF) + static_cast<char>(length >> 8) + text;
}

}  // namespace

void write_npy(const std::string& path, const Tensor& tensor) {
  check(tensor.defined(), "cannot write ", path, ": the tensor is undefined");
  const Tensor host = tensor.to(Device::cpu).to(tensor.dtype() == DType::bf16 ? DType::f32 : tensor.dtype());
  const std::string start = header(host);

  write_file(path, {start, {static_cast<const char*>(host.raw_data()), host.bytes()}});
}

}  // namespace boxcam
