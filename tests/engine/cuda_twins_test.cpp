// The arithmetic of every hand-written CUDA kernel, executed on the CPU (host_twin.h) and compared with the CPU's own
// kernels: index computations, what each element does, and what the threads of a block do together.
#include "engine/settings.h"
#include "tests/host_twin.h"
#include "tests/kernel_cases.h"

namespace boxcam {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct CudaTwins : testing::Test {
  void SetUp() override { set_setting(&Settings::threads, 1); }  // as ThreadSanitizer needs it: it does not know OpenMP
  void TearDown() override {
    set_setting(&Settings::threads, 0);
    twin::block_size = 8;
    twin::index_report = {};
  }
};

Tensor values(const Shape& shape, DType dtype, uint64_t seed, double low = -1, double high = 1) {
  return Place{cpu_kernels(), Device::cpu, dtype}.in(shape, seed, low, high);
}
Tensor hole(const Shape& shape, DType dtype) { return Tensor::full(shape, kNaN, dtype); }

void expect_the_whole_table(DType dtype) {
  for (const Case& c : all_cases()) {
    if (dtype == DType::bf16 && !c.takes_bf16()) continue;
    const Tensors expected = c.run({cpu_kernels(), Device::cpu, DType::f64});
    expect_agreement(c.run({twin::kernels(), Device::cpu, dtype}), expected, dtype,
                     str("the twin of ", c.kernel, " in ", dtype, ", blocks of ", twin::block_size));
  }
}

TEST_F(CudaTwins, EveryEntryOfTheTable) {
  for (size_t slot = 0; slot < sizeof(Kernels) / sizeof(void (*)()); ++slot)
    ASSERT_NE((reinterpret_cast<void (*const*)()>(&twin::kernels()))[slot], nullptr) << "entry " << slot;
  for (const int size : {2, 8})
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      twin::block_size = size;
      expect_the_whole_table(dtype);
    }
}

TEST_F(CudaTwins, BitsDoNotDependOnWhoComesFirst) {
  for (const Case& c : all_cases()) {
    const Tensors once = c.run({twin::kernels(), Device::cpu, DType::f32});
    const Tensors again = c.run({twin::kernels(), Device::cpu, DType::f32});
    for (size_t k = 0; k < once.size(); ++k) EXPECT_EQ(once[k].to_vector(), again[k].to_vector()) << c.kernel;
  }
}

TEST_F(CudaTwins, SumsOfEveryShapeOfWork) {
  // Short sums, one pass, several passes; more columns than threads and fewer; empty.
  for (const int size : {1, 4, 16})
    for (const auto& [outer, length, inner] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
             {3, 64, 5}, {3, 65, 5}, {1, 10007, 1}, {2, 1025, 3}, {1, 333, 40}, {4, 129, 1}, {5, 70, 70}, {2, 0, 3}}) {
      twin::block_size = size;
      const Tensor x = values({outer, length, inner}, DType::f64, 1, 0, 1);
      Tensor found = hole({outer, inner}, DType::f64), expected = hole({outer, inner}, DType::f64);
      twin::kernels().sum(x, outer, length, inner, found);
      cpu_kernels().sum(x, outer, length, inner, expected);
      expect_agreement({found}, {expected}, DType::f64, str(x.shape(), ", blocks of ", size));
    }
}

TEST_F(CudaTwins, AConvolutionOfOnePixelIsAProduct) {
  const Tensor x = values({2, 6, 5, 16}, DType::f64, 5), w = values({9, 1, 1, 16}, DType::f64, 6);
  const Tensor g = values({2, 6, 5, 9}, DType::f64, 7);
  Tensors found, expected;
  for (Tensors* t : {&found, &expected})
    for (const Tensor* like : {&g, &x, &w}) t->push_back(hole(like->shape(), DType::f64));
  cuda::product_conv2d(cpu_kernels().matmul, x, w, found[0]);
  cuda::product_conv2d_input_grad(cpu_kernels().matmul, g, w, found[1]);
  cuda::product_conv2d_weight_grad(cpu_kernels().matmul, x, g, found[2]);
  cpu_kernels().conv2d(x, w, {}, expected[0]);
  cpu_kernels().conv2d_input_grad(g, w, {}, expected[1]);
  cpu_kernels().conv2d_weight_grad(x, g, {}, expected[2]);
  expect_agreement(found, expected, DType::f64, "1x1");
}

TEST_F(CudaTwins, BlocksAsLargeAsTheDevices) {
  twin::block_size = 256;
  const Tensor x = values({1, 40000, 1}, DType::f64, 2, 0, 1), maps = values({1, 30, 30, 33}, DType::f64, 3, 5, 6);
  Tensor found = hole({1, 1}, DType::f64), expected = hole({1, 1}, DType::f64);
  twin::kernels().sum(x, 1, 40000, 1, found);
  cpu_kernels().sum(x, 1, 40000, 1, expected);
  expect_agreement({found}, {expected}, DType::f64, "sum");
  Tensors moments(4, Tensor{});
  for (Tensor& t : moments) t = hole({33}, DType::f64);
  twin::kernels().batch_norm_statistics(maps, moments[0], moments[1]);
  cpu_kernels().batch_norm_statistics(maps, moments[2], moments[3]);
  expect_agreement({moments[0], moments[1]}, {moments[2], moments[3]}, DType::f64, "batch_norm_statistics");
  const Tensor row = values({1, 1000}, DType::f32, 4);
  Tensor index = Tensor::full({1, 1}, -1, DType::i32), index_cpu = Tensor::full({1, 1}, -1, DType::i32);
  twin::kernels().argmax(row, true, index);
  cpu_kernels().argmax(row, true, index_cpu);
  EXPECT_EQ(index.item(), index_cpu.item());
}

TEST_F(CudaTwins, ArgMaxTakesTheFirstAndNeverANaN) {
  const std::vector<std::vector<double>> rows = {
      {1, 3, 3, 2, 3, 0, 0, 0, 0},       {kNaN, 9, 1, 2, 3, 4, 5, 6, 7}, {1, kNaN, 7, 2, 7, kNaN, 0, 0, 0},
      {0, 0, 0, 0, 0, 0, 0, 0, 0},       {5, 4, 3, 2, 1, 0, 0, 0, -1},   {kNaN, kNaN, kNaN, kNaN, 1, 1, 1, 1, 1},
      {-1, 2, -1, 2, -5, 2, kNaN, -5, 2}};
  for (const int size : {1, 2, 4, 16})
    for (const bool minimum : {false, true})
      for (const auto& row : rows) {
        twin::block_size = size;
        const Tensor x = Tensor::from({1, 9}, row);
        Tensor found = Tensor::full({1, 1}, -1, DType::i32), expected = Tensor::full({1, 1}, -1, DType::i32);
        twin::kernels().argmax(x, minimum, found);
        cpu_kernels().argmax(x, minimum, expected);
        EXPECT_EQ(found.item(), expected.item()) << "blocks of " << size << (minimum ? ", minimum" : ", maximum");
      }
}

TEST_F(CudaTwins, PoolingHandsANaNOn) {
  std::vector<double> pixels(5 * 5, 1);
  pixels[7] = kNaN;
  pixels[12] = 3;
  const Tensor x = Tensor::from({1, 5, 5, 1}, pixels);
  Tensor y = hole({1, 3, 3, 1}, DType::f64), index = Tensor::full({1, 3, 3, 1}, -1, DType::i32);
  Tensor y_cpu = y.clone(), index_cpu = index.clone();
  twin::kernels().max_pool2d(x, {3, 2, 1}, y, index);
  cpu_kernels().max_pool2d(x, {3, 2, 1}, y_cpu, index_cpu);
  EXPECT_EQ(index.to_vector(), index_cpu.to_vector());
  const auto found = y.to_vector(), expected = y_cpu.to_vector();
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i]))) << i;
}

TEST_F(CudaTwins, PutAtAddsUpInOrder) {
  // Many values for few places: in another order f32 sums would have other bits.
  Random random(5);
  std::vector<int32_t> at(2 * 400);
  for (int32_t& i : at) i = static_cast<int32_t>(random.below(7));
  const Tensor index = Tensor::from({2, 400}, at), g = values({2, 400}, DType::f32, 6);
  Tensor found = hole({2, 7}, DType::f32), expected = hole({2, 7}, DType::f32);
  twin::kernels().put_at(g, index, found);
  cpu_kernels().put_at(g, index, expected);
  EXPECT_EQ(found.to_vector(), expected.to_vector());
  EXPECT_EQ(twin::index_report.packed, 0u);
}

TEST_F(CudaTwins, AnIndexOutOfRangeIsReportedAndTouchesNothing) {
  const Tensor x = values({1, 4}, DType::f32, 7);
  for (const int32_t wrong : {-1, 4, 1 << 30}) {
    const Tensor index = Tensor::from({1, 3}, std::vector<int32_t>{1, wrong, 2});
    Tensor taken = hole({1, 3}, DType::f32), put = hole({1, 4}, DType::f32);
    twin::index_report = {};
    twin::kernels().take_at(x, index, taken);
    EXPECT_EQ(twin::index_report.index(), wrong);
    EXPECT_EQ(twin::index_report.size(), 4);
    EXPECT_EQ(taken.to_vector(), (std::vector{x.to_vector()[1], 0.0, x.to_vector()[2]}));
    twin::index_report = {};
    twin::kernels().put_at(Tensor::full({1, 3}, 1), index, put);
    EXPECT_EQ(twin::index_report.index(), wrong);
    EXPECT_EQ(put.to_vector(), (std::vector<double>{0, 1, 1, 0}));
  }
}

TEST_F(CudaTwins, ResizeBetweenAllSmallSizes) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int64_t from : {1, 2, 3, 7, 11})
      for (const int64_t to : {1, 2, 5, 7, 16, 33}) {
        const Tensor x = values({1, from, 4}, dtype, 8), g = values({1, to, 9}, dtype, 9);
        Tensor found = hole({1, to, 9}, dtype), expected = hole({1, to, 9}, dtype);
        twin::kernels().bilinear_resize(x, found);
        cpu_kernels().bilinear_resize(x, expected);
        expect_agreement({found}, {expected}, dtype, str(from, " to ", to));
        Tensor back = hole({1, from, 4}, dtype), back_expected = hole({1, from, 4}, dtype);
        twin::kernels().bilinear_resize_adjoint(g, back);
        cpu_kernels().bilinear_resize_adjoint(g, back_expected);
        expect_agreement({back}, {back_expected}, dtype, str("adjoint of ", from, " to ", to));
      }
}

TEST_F(CudaTwins, BroadcastingOverManyAxes) {
  const std::vector<std::tuple<Shape, Shape, Shape>> shapes = {{{2, 1, 3, 1, 4}, {5, 1, 6, 4}, {2, 5, 3, 6, 4}},
                                                               {{2, 3, 4}, {2, 1, 1}, {2, 3, 4}},
                                                               {{1, 3, 1}, {2, 1, 4}, {2, 3, 4}},
                                                               {{7}, {1, 1, 1}, {1, 1, 7}},
                                                               {{2, 3, 1, 1}, {1, 1, 4, 5}, {2, 3, 4, 5}},
                                                               {{0, 3}, {3}, {0, 3}}};
  for (const auto& [a, b, y] : shapes) {
    Tensor found = hole(y, DType::f64), expected = hole(y, DType::f64);
    const Tensor p = values(a, DType::f64, 10), q = values(b, DType::f64, 11);
    twin::kernels().binary(BinaryOp::sub, p, q, found);
    cpu_kernels().binary(BinaryOp::sub, p, q, expected);
    EXPECT_EQ(found.to_vector(), expected.to_vector()) << a << " and " << b;
  }
  const Shape a{2, 1, 2, 1, 2, 1, 2}, b{1, 2, 1, 2, 1, 2, 1}, y{2, 2, 2, 2, 2, 2, 2};
  Tensor result = hole(y, DType::f32);
  EXPECT_THROW(twin::kernels().binary(BinaryOp::add, values(a, DType::f32, 12), values(b, DType::f32, 13), result),
               Error);
}

TEST_F(CudaTwins, FillAndCast) {
  for (const DType to : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8}) {
    Tensor filled = Tensor::zeros({3, 5}, to);
    cuda::fill(twin::run, filled, 7);
    EXPECT_EQ(filled.to_vector(), std::vector<double>(15, 7));
    for (const DType from : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8}) {
      const Tensor x = values({11}, DType::f32, 14, 0, 200).to(from);
      Tensor y = Tensor::zeros({11}, to);
      cuda::cast(twin::run, x, y);
      EXPECT_EQ(y.to_vector(), x.to(to).to_vector()) << from << " to " << to;
    }
  }
}

TEST(CudaDivide, IsDivisionForSmallAndLarge) {
  for (const int64_t n : {0L, 1L, 6L, 7L, 4294967295L, 4294967296L, 1234567890123L})
    for (const int64_t d : {1L, 2L, 7L, 4294967295L, 4294967296L, 99999999999L}) {
      EXPECT_EQ(cuda::divide(n, d).quotient, n / d) << n << " / " << d;
      EXPECT_EQ(cuda::divide(n, d).remainder, n % d) << n << " % " << d;
    }
}

}  // namespace
}  // namespace boxcam
