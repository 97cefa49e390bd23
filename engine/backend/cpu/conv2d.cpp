#include <algorithm>
#include <cstring>
#include <string>

#include "engine/backend/cpu/conv2d.h"
#include "engine/backend/cpu/dot.h"
#include "engine/backend/cpu/onednn.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"
#include "engine/machine.h"
#include "engine/settings.h"

namespace boxcam::cpu {

// ---- the definition: plain loops ------------------------------------------------------------------------------------

namespace {

/// The extents of one convolution, under the letters of ops.h.
struct Extents {
  int64_t n, h, w, i, o, r, s, p, q, groups, ig, og;
  Extents(const Shape& x, const Shape& weight, const Shape& y, const Conv2dSpec& spec)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        i(x[3]),
        o(weight[0]),
        r(weight[1]),
        s(weight[2]),
        p(y[1]),
        q(y[2]),
        groups(spec.groups),
        ig(weight[3]),
        og(weight[0] / spec.groups) {}
};

/// Calls f(output pixel, input pixel, weight offset r * S + s) for every pair that touches in image n, output row p.
template <class F>
void for_each_pair(const Extents& e, const Conv2dSpec& spec, int64_t n, int64_t p, F&& f) {
  for (int64_t r = 0; r < e.r; ++r) {
    const int64_t y = p * spec.stride - spec.padding + r * spec.dilation;
    if (y < 0 || y >= e.h) continue;
    for (int64_t q = 0; q < e.q; ++q)
      for (int64_t s = 0; s < e.s; ++s) {
        const int64_t x = q * spec.stride - spec.padding + s * spec.dilation;
        if (x < 0 || x >= e.w) continue;
        f((n * e.p + p) * e.q + q, (n * e.h + y) * e.w + x, r * e.s + s);
      }
  }
}

template <class T>
void add_scaled(T* y, T factor, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

template <class T>
void plain_conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
  const Extents e(x.shape(), w.shape(), y.shape(), spec);
  const T *in = x.data<T>(), *weight = w.data<T>();
  T* out = y.data<T>();
  parallel_for(e.n * e.p, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::fill_n(out + row * e.q * e.o, e.q * e.o, T(0));
      for_each_pair(e, spec, row / e.p, row % e.p, [&](int64_t to, int64_t from, int64_t k) {
        for (int64_t o = 0; o < e.o; ++o)
          out[to * e.o + o] += dot(in + from * e.i + o / e.og * e.ig, weight + (o * e.r * e.s + k) * e.ig, e.ig);
      });
    }
  });
}

template <class T>
void plain_conv2d_input_grad(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
  const Extents e(gx.shape(), w.shape(), g.shape(), spec);
  const T *gy = g.data<T>(), *weight = w.data<T>();
  T* out = gx.data<T>();
  parallel_for(e.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      std::fill_n(out + n * e.h * e.w * e.i, e.h * e.w * e.i, T(0));
      for (int64_t p = 0; p < e.p; ++p)
        for_each_pair(e, spec, n, p, [&](int64_t from, int64_t to, int64_t k) {
          for (int64_t o = 0; o < e.o; ++o)
            add_scaled(out + to * e.i + o / e.og * e.ig, gy[from * e.o + o], weight + (o * e.r * e.s + k) * e.ig, e.ig);
        });
    }
  });
}

template <class T>
void plain_conv2d_weight_grad(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
  const Extents e(x.shape(), gw.shape(), g.shape(), spec);
  const T *in = x.data<T>(), *gy = g.data<T>();
  T* out = gw.data<T>();
  parallel_for(e.o, 1, [&](int64_t begin, int64_t end) {
    const int64_t size = e.r * e.s * e.ig;
    std::fill(out + begin * size, out + end * size, T(0));
    for (int64_t n = 0; n < e.n; ++n)
      for (int64_t p = 0; p < e.p; ++p)
        for_each_pair(e, spec, n, p, [&](int64_t at, int64_t from, int64_t k) {
          for (int64_t o = begin; o < end; ++o)
            add_scaled(out + o * size + k * e.ig, gy[at * e.o + o], in + from * e.i + o / e.og * e.ig, e.ig);
        });
  });
}

/// y = x + bias (+ residual), ReLU. y may be x or the residual: an element is read before it is written.
void add_bias(const Tensor& x, const Tensor& bias, const Tensor& residual, bool with_relu, Tensor& y) {
  scale_shift(x, Tensor::full(bias.shape(), 1, bias.dtype()), bias, residual, with_relu, y);
}

}  // namespace

// ---- f32 and bf16 through oneDNN ------------------------------------------------------------------------------------

#ifdef BOXCAM_HAS_ONEDNN

namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;

enum class ConvKind { forward, input_grad, weight_grad };

using Type = memory::data_type;
Type type_of(DType dtype) { return dtype == DType::bf16 ? Type::bf16 : Type::f32; }

/// The three tensors of a convolution: dimensions in oneDNN's order, and the layout boxcam keeps them in. Activations
/// are of `type`, weights f32.
struct ConvDescriptors {
  Type type;
  memory::dims x_dims, w_dims, y_dims;
  memory::desc x, w, y, bias;
  ConvGeometry geometry;

  ConvDescriptors(const Shape& xs, const Shape& ws, const Shape& ys, const Conv2dSpec& s, DType activations)
      : type(type_of(activations)),
        x_dims{xs[0], xs[3], xs[1], xs[2]},
        w_dims{ws[0], ws[3], ws[1], ws[2]},
        y_dims{ys[0], ys[3], ys[1], ys[2]},
        x(x_dims, type, Tag::nhwc),
        w(w_dims, Type::f32, Tag::ohwi),
        y(y_dims, type, Tag::nhwc),
        bias({ws[0]}, Type::f32, Tag::a) {
    geometry = {{s.stride, s.stride}, {s.dilation - 1, s.dilation - 1}, {s.padding, s.padding}, {0, 0}};
    for (int i = 0; i < 2; ++i)  // what the last window reaches, so that the extents fit exactly
      geometry.pad_high[i] = (ys[1 + i] - 1) * s.stride + s.dilation * (ws[1 + i] - 1) + 1 - xs[1 + i] - s.padding;
  }
};

/// Winograd saves arithmetic, and pays with reorders to the library's blocked layout and back: it wins for 3x3 at
/// stride 1 with enough channels. Decided by shape alone, so that equal runs compute alike.
bool use_winograd(const Shape& x, const Shape& w, const Conv2dSpec& s) {
#if DNNL_VERSION_MAJOR == 2
  return settings().conv_algorithm == ConvAlgorithm::automatic && w[1] == 3 && w[2] == 3 && s.stride == 1 &&
         s.dilation == 1 && s.padding == 1 && x[3] >= 64 && w[0] >= 64 && x[1] >= 7 && x[0] * x[1] * x[2] >= 512;
#else
  (void)x, (void)w, (void)s;
  return false;
#endif
}

/// Whether oneDNN may compute this at all. Strided 1x1 weight gradients with few input channels write out of bounds in
/// its NHWC kernels (oneDNN issue 6035); 1x1 input gradients in bf16 of an odd number of output channels come out wrong
/// (2.6.3, AVX-512 BF16); grouped convolutions, which no model here has, stay with the plain loops.
bool onednn_takes(ConvKind kind, DType activations, const Shape& w, const Conv2dSpec& s) {
  if (activations == DType::f64 || (activations == DType::bf16 && !cpu_has_bf16()) || s.groups != 1) return false;
  if (w[1] != 1 || w[2] != 1) return true;
  if (kind == ConvKind::input_grad && activations == DType::bf16 && w[0] % 2 != 0) return false;
  return !(kind == ConvKind::weight_grad && s.stride > 1 && w[3] < 16);
}

/// An operand in the layout the primitive wants: the tensor itself, or a reordered copy.
class Operand {
 public:
  Operand(const memory::desc& ours, const Tensor& t, const memory::desc& wanted, bool is_output)
      : tensor_(onednn_memory(ours, t)), used_(tensor_) {
    if (wanted == ours) return;
    copy_ = Tensor::empty({static_cast<int64_t>(wanted.get_size())}, DType::u8);
    used_ = memory(wanted, onednn_engine(), copy_.raw_data());
    if (!is_output) reorder(tensor_, used_);
  }
  const memory& used() const { return used_; }
  void finish() {
    if (copy_.defined()) reorder(used_, tensor_);
  }

 private:
  static void reorder(memory from, memory to) {
    dnnl::stream stream(onednn_engine());
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }
  memory tensor_, used_;
  Tensor copy_;
};

/// What a forward convolution does besides.
struct Extras {
  bool bias = false, accumulate = false, relu = false;  ///< accumulate: what it writes to is added
};

/// Primitive descriptors of one convolution; weights (and with Winograd everything) in the layout the library likes.
struct ConvPlan {
  ConvForward forward;
  ConvBackwardData input_grad;
  ConvBackwardWeights weight_grad;
  std::string implementation;

  ConvPlan(ConvKind kind, const ConvDescriptors& d, bool winograd, const Extras& extras) {
    const auto algo = winograd ? algorithm::convolution_winograd : algorithm::convolution_direct;
    const auto any = [](const memory::dims& dims, Type type) { return memory::desc(dims, type, Tag::any); };
    const memory::desc x = winograd ? any(d.x_dims, d.type) : d.x, y = winograd ? any(d.y_dims, d.type) : d.y,
                       w = any(d.w_dims, d.type), gw = any(d.w_dims, Type::f32);  // a weight's gradient is not rounded
    dnnl::primitive_attr attr = with_own_scratchpad();
    dnnl::post_ops operations;
    if (extras.accumulate) operations.append_sum();
    if (extras.relu) append_relu(operations);
    attr.set_post_ops(operations);
    forward = conv_forward(algo, x, w, extras.bias ? d.bias : memory::desc(), y, d.geometry, attr);
    if (kind == ConvKind::input_grad) input_grad = conv_backward_data(algo, x, w, y, d.geometry, forward, attr);
    if (kind == ConvKind::weight_grad) weight_grad = conv_backward_weights(algo, x, gw, y, d.geometry, forward, attr);
    implementation = kind == ConvKind::forward      ? forward.impl_info_str()
                     : kind == ConvKind::input_grad ? input_grad.impl_info_str()
                                                    : weight_grad.impl_info_str();
  }
};

ConvPlan plan(ConvKind kind, const ConvDescriptors& d, const Shape& x, const Shape& w, const Conv2dSpec& s,
              const Extras& extras = {}) {
  if (d.type == Type::f32 && use_winograd(x, w, s)) {
    try {
      return ConvPlan(kind, d, true, extras);
    } catch (const dnnl::error&) {  // not on this processor
    }
  }
  return onednn_call("describing a convolution", [&] { return ConvPlan(kind, d, false, extras); });
}

void execute(const dnnl::primitive& primitive, const memory::desc& scratchpad,
             std::unordered_map<int, memory> arguments) {
  const Tensor space = Tensor::empty({static_cast<int64_t>(scratchpad.get_size())}, DType::u8);
  arguments.emplace(DNNL_ARG_SCRATCHPAD, onednn_memory(scratchpad, space));
  onednn_call("a convolution", [&] {
    dnnl::stream stream(onednn_engine());
    primitive.execute(stream, arguments);
    stream.wait();
  });
}

void fast_conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
  const ConvDescriptors d(x.shape(), w.shape(), y.shape(), spec, x.dtype());
  const ConvForward pd = plan(ConvKind::forward, d, x.shape(), w.shape(), spec).forward;
  Operand in(d.x, x, pd.src_desc(), false), weight(d.w, w, pd.weights_desc(), false), out(d.y, y, pd.dst_desc(), true);
  execute(dnnl::convolution_forward(pd), pd.scratchpad_desc(),
          {{DNNL_ARG_SRC, in.used()}, {DNNL_ARG_WEIGHTS, weight.used()}, {DNNL_ARG_DST, out.used()}});
  out.finish();
}

void fast_conv2d_bias(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias,
                      const Tensor& residual, bool with_relu, Tensor& y) {
  const ConvDescriptors d(x.shape(), w.shape(), y.shape(), spec, x.dtype());
  // The library adds what lies in y. Its Winograd does neither this nor the ReLU.
  const bool winograd = d.type == Type::f32 && use_winograd(x.shape(), w.shape(), spec);
  const bool in_place = residual.defined() && y.raw_data() == residual.raw_data();
  const bool accumulate = in_place && !winograd;
  const bool apart = (residual.defined() && !accumulate) || (with_relu && winograd);
  const Extras extras = {true, accumulate, with_relu && !apart};
  const ConvForward pd = plan(ConvKind::forward, d, x.shape(), w.shape(), spec, extras).forward;
  const Tensor result = in_place && !accumulate ? Tensor::empty(y.shape(), y.dtype()) : y;
  Operand in(d.x, x, pd.src_desc(), false), weight(d.w, w, pd.weights_desc(), false),
      out(d.y, result, pd.dst_desc(), true);
  execute(dnnl::convolution_forward(pd), pd.scratchpad_desc(),
          {{DNNL_ARG_SRC, in.used()},
           {DNNL_ARG_WEIGHTS, weight.used()},
           {DNNL_ARG_BIAS, onednn_memory(d.bias, bias)},
           {DNNL_ARG_DST, out.used()}});
  out.finish();
  if (apart) add_bias(result, Tensor::zeros(bias.shape(), bias.dtype()), residual, with_relu, y);
}

void fast_conv2d_input_grad(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
  const ConvDescriptors d(gx.shape(), w.shape(), g.shape(), spec, g.dtype());
  const ConvBackwardData pd = plan(ConvKind::input_grad, d, gx.shape(), w.shape(), spec).input_grad;
  Operand gy(d.y, g, pd.diff_dst_desc(), false), weight(d.w, w, pd.weights_desc(), false),
      out(d.x, gx, pd.diff_src_desc(), true);
  execute(dnnl::convolution_backward_data(pd), pd.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, gy.used()}, {DNNL_ARG_WEIGHTS, weight.used()}, {DNNL_ARG_DIFF_SRC, out.used()}});
  out.finish();
}

void fast_conv2d_weight_grad(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
  const ConvDescriptors d(x.shape(), gw.shape(), g.shape(), spec, x.dtype());
  const ConvBackwardWeights pd = plan(ConvKind::weight_grad, d, x.shape(), gw.shape(), spec).weight_grad;
  Operand in(d.x, x, pd.src_desc(), false), gy(d.y, g, pd.diff_dst_desc(), false),
      out(d.w, gw, pd.diff_weights_desc(), true);
  execute(dnnl::convolution_backward_weights(pd), pd.scratchpad_desc(),
          {{DNNL_ARG_SRC, in.used()}, {DNNL_ARG_DIFF_DST, gy.used()}, {DNNL_ARG_DIFF_WEIGHTS, out.used()}});
  out.finish();
}

}  // namespace

std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations) {
  const ConvDescriptors d(x, w, y, spec, activations);
  std::vector<std::string> names;
  for (const ConvKind kind : {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad})
    names.push_back(onednn_takes(kind, activations, w, spec) ? plan(kind, d, x, w, spec).implementation : "plain");
  return names;
}

#else

std::vector<std::string> conv2d_implementations(const Shape&, const Shape&, const Shape&, const Conv2dSpec&, DType) {
  return {"plain", "plain", "plain"};
}

#endif  // BOXCAM_HAS_ONEDNN

// ---- the kernels ----------------------------------------------------------------------------------------------------

namespace {

/// bf16 where the library does not compute in it: through f32.
template <class Kernel>
void through_f32(Kernel kernel, const Tensor& a, const Tensor& b, const Conv2dSpec& spec, Tensor& result) {
  Tensor wide = Tensor::empty(result.shape());
  kernel(a.to(DType::f32), b.to(DType::f32), spec, wide);
  cast(wide, result);
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
#ifdef BOXCAM_HAS_ONEDNN
  if (onednn_takes(ConvKind::forward, x.dtype(), w.shape(), spec)) return fast_conv2d(x, w, spec, y);
#endif
  if (x.dtype() == DType::bf16) return through_f32(conv2d, x, w, spec, y);
  visit_floating(x.dtype(), [&](auto zero) { plain_conv2d<decltype(zero)>(x, w, spec, y); });
}

void conv2d_bias(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias, const Tensor& residual,
                 bool with_relu, Tensor& y) {
#ifdef BOXCAM_HAS_ONEDNN
  if (onednn_takes(ConvKind::forward, x.dtype(), w.shape(), spec))
    return fast_conv2d_bias(x, w, spec, bias, residual, with_relu, y);
#endif
  Tensor product = Tensor::empty(y.shape(), y.dtype());
  conv2d(x, w, spec, product);
  add_bias(product, bias, residual, with_relu, y);
}

void conv2d_input_grad(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
#ifdef BOXCAM_HAS_ONEDNN
  if (onednn_takes(ConvKind::input_grad, g.dtype(), w.shape(), spec)) return fast_conv2d_input_grad(g, w, spec, gx);
#endif
  if (g.dtype() == DType::bf16) return through_f32(conv2d_input_grad, g, w, spec, gx);
  visit_floating(g.dtype(), [&](auto zero) { plain_conv2d_input_grad<decltype(zero)>(g, w, spec, gx); });
}

void conv2d_weight_grad(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
#ifdef BOXCAM_HAS_ONEDNN
  if (onednn_takes(ConvKind::weight_grad, x.dtype(), gw.shape(), spec)) return fast_conv2d_weight_grad(x, g, spec, gw);
#endif
  if (x.dtype() == DType::bf16) return through_f32(conv2d_weight_grad, x, g, spec, gw);
  visit_floating(x.dtype(), [&](auto zero) { plain_conv2d_weight_grad<decltype(zero)>(x, g, spec, gw); });
}

}  // namespace boxcam::cpu
