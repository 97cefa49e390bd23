#include "nn/files/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace boxcam {
namespace {

class Npy : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              str("boxcam_npy_", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string written(const Tensor& tensor) {
    const std::string path = folder_ / "tensor.npy";
    write_npy(path, tensor);
    EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
};

// The header's text without its padding; checks all that the format fixes.
std::string header_of(const std::string& bytes, size_t data_bytes) {
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t length = static_cast<unsigned char>(bytes[8]) | static_cast<unsigned char>(bytes[9]) << 8;
  EXPECT_EQ((10 + length) % 64, 0u);
  EXPECT_EQ(bytes.size(), 10 + length + data_bytes);
  const std::string text = bytes.substr(10, length);
  EXPECT_EQ(text.back(), '\n');
  return text.substr(0, text.find('}') + 1);
}

template <class T>
std::vector<T> values_of(const std::string& bytes, size_t count) {
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data() + bytes.size() - count * sizeof(T), count * sizeof(T));
  return values;
}

TEST_F(Npy, KeepsTypeShapeAndValues) {
  const std::vector<float> f32{1.5f, -2, 3, 4, 5, 6};
  std::string bytes = written(Tensor::from({2, 3}, f32));
  EXPECT_EQ(header_of(bytes, 24), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, ), }");
  EXPECT_EQ(values_of<float>(bytes, 6), f32);

  const std::vector<double> f64{0.1, -1e300};
  bytes = written(Tensor::from({2}, f64));
  EXPECT_EQ(header_of(bytes, 16), "{'descr': '<f8', 'fortran_order': False, 'shape': (2, ), }");
  EXPECT_EQ(values_of<double>(bytes, 2), f64);

  const std::vector<int32_t> i32{7, -8};
  bytes = written(Tensor::from({1, 2, 1}, i32));
  EXPECT_EQ(header_of(bytes, 8), "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2, 1, ), }");
  EXPECT_EQ(values_of<int32_t>(bytes, 2), i32);

  bytes = written(Tensor::from({2}, std::vector<uint8_t>{0, 255}));
  EXPECT_EQ(header_of(bytes, 2), "{'descr': '|u1', 'fortran_order': False, 'shape': (2, ), }");
}

TEST_F(Npy, ScalarsAndEmptyTensors) {
  EXPECT_EQ(header_of(written(Tensor::scalar(2)), 4), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
  EXPECT_EQ(header_of(written(Tensor::empty({0, 3})), 0),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3, ), }");
}

TEST_F(Npy, ErrorsNameThePath) {
  const std::string path = folder_ / "missing" / "tensor.npy";
  for (const Tensor& tensor : {Tensor::scalar(1), Tensor()}) {
    try {
      write_npy(path, tensor);
      FAIL() << "wrote " << path;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace boxcam
