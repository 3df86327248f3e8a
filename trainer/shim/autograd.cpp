// Autograd functions that tch cannot express.
// C ABI; every exception ends here and is returned as an allocated message.

#include <torch/torch.h>

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

constexpr int64_t kGrain = 1 << 14;

// Spec 1.2 for u = 1/2, spec 6.4 for a uniform u: t goes up where its fraction reaches 1 - u, a difference that is exact.
template <typename T>
inline T rounded(T t, T u) {
  const T f = std::floor(t);
  return t - f >= T(1) - u ? f + T(1) : f;
}

// x is [outer, C, inner]; one step and zero point for each of the C channels.
struct Extents {
  int64_t channels, inner, count;
};

Extents extents(const Tensor& x, const Tensor& step, int64_t axis) {
  const int64_t channels = step.numel();
  int64_t inner = x.numel();
  if (channels > 1) {
    inner = 1;
    for (int64_t d = axis + 1; d < x.dim(); d++) inner *= x.size(d);
  }
  return {channels, inner, x.numel()};
}

template <typename T>
void fake_quantize_rows(const T* x, const T* steps, const T* zeros, const T* noise, T* y, bool* inside, Extents e, T lo,
                        T hi) {
  at::parallel_for(0, e.count, kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / e.inner;
      const int64_t stop = std::min(end, (row + 1) * e.inner);
      const T step = steps[row % e.channels], zero = zeros ? zeros[row % e.channels] : T(0);
      for (int64_t i = begin; i < stop; i++) {
        const T t = x[i] / step;
        const T q = rounded(t, noise ? noise[i] : T(0.5)) + zero;
        inside[i] = t >= lo - zero - T(0.5) && t < hi - zero + T(0.5);
        y[i] = (std::min(std::max(q, lo), hi) - zero) * step;
      }
      begin = stop;
    }
  });
}

// One value for each channel, in the shape that broadcasts over x.
Tensor shaped(const Tensor& values, const Tensor& x, int64_t axis) {
  if (values.numel() == 1) return values.reshape({});
  std::vector<int64_t> shape(x.dim(), 1);
  shape[axis] = values.numel();
  return values.view(shape);
}

// The sum over all but the channels.
Tensor channel_sum(const Tensor& values, const Tensor& step, int64_t axis) {
  if (step.numel() == 1) return values.sum().view_as(step);
  std::vector<int64_t> others;
  for (int64_t d = 0; d < values.dim(); d++) {
    if (d != axis) others.push_back(d);
  }
  return (others.empty() ? values : values.sum(others)).view_as(step);
}

struct FakeQuantize : Function<FakeQuantize> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& step,
                        const std::optional<Tensor>& zero, const std::optional<Tensor>& noise, int64_t axis, double lo,
                        double hi) {
    TORCH_CHECK(step.numel() == 1 || (input.dim() > axis && step.numel() == input.size(axis)),
                "fake_quantize takes one step, or one for each entry of dimension ", axis);
    TORCH_CHECK(step.scalar_type() == input.scalar_type(), "fake_quantize takes steps of the input's type");
    TORCH_CHECK(!zero || (zero->numel() == step.numel() && zero->scalar_type() == input.scalar_type()),
                "fake_quantize takes as many zero points as steps, of the input's type");
    const Tensor x = input.contiguous();
    Tensor y, inside;
    if (x.is_cpu()) {
      const Tensor steps = step.contiguous();
      const Tensor zeros = zero ? zero->contiguous() : Tensor();
      y = at::empty_like(x);
      inside = at::empty_like(x, x.options().dtype(at::kBool));
      AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fake_quantize", [&] {
        const scalar_t* z = zeros.defined() ? zeros.const_data_ptr<scalar_t>() : nullptr;
        const scalar_t* u = noise ? noise->const_data_ptr<scalar_t>() : nullptr;
        fake_quantize_rows<scalar_t>(x.const_data_ptr<scalar_t>(), steps.const_data_ptr<scalar_t>(), z, u,
                                     y.mutable_data_ptr<scalar_t>(), inside.mutable_data_ptr<bool>(),
                                     extents(x, steps, axis), static_cast<scalar_t>(lo), static_cast<scalar_t>(hi));
      });
    } else {
      const Tensor s = shaped(step, x, axis);
      const Tensor z = zero ? shaped(*zero, x, axis) : at::zeros({}, x.options());
      const Tensor t = x / s;
      const Tensor f = t.floor();
      const Tensor up = noise ? (t - f).ge(1.0 - *noise) : (t - f).ge(0.5);
      inside = t.ge(lo - z - 0.5).logical_and_(t.lt(hi - z + 0.5));
      y = (f + up + z).clamp_(lo, hi).sub_(z).mul_(s);
    }
    // What a learned step needs; a gradient of the input needs the mask alone.
    ctx->saved_data["axis"] = axis;
    ctx->saved_data["learned"] = step.requires_grad();
    if (step.requires_grad()) {
      ctx->save_for_backward({inside, x, step, y});
    } else {
      ctx->save_for_backward({inside});
    }
    return y;
  }

  // The gradient of the step is that of Esser et al. 2020, equation 3: (q - t) inside the range, q outside of it.
  static variable_list backward(AutogradContext* ctx, variable_list gradient) {
    const auto saved = ctx->get_saved_variables();
    const Tensor& inside = saved[0];
    Tensor step_gradient;
    if (ctx->saved_data["learned"].toBool()) {
      const int64_t axis = ctx->saved_data["axis"].toInt();
      const Tensor s = shaped(saved[2], saved[1], axis);
      const Tensor slope = saved[3] / s - at::where(inside, saved[1] / s, at::zeros({}, saved[1].options()));
      step_gradient = channel_sum(gradient[0] * slope, saved[2], axis);
    }
    return {gradient[0] * inside, step_gradient, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

std::optional<Tensor> optional(const Tensor* tensor) {
  return tensor ? std::optional<Tensor>(*tensor) : std::nullopt;
}

// Operators that wait for a device, as they read one of its values or size a tensor by them.
const std::unordered_set<std::string> kWaiting = {
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::masked_select", "aten::equal",
    "aten::_unique2",            "aten::bincount",
};

std::atomic<int64_t> waits{0};

// A copy from a device to the host waits as well.
bool copies_to_host(const at::RecordFunction& function) {
  if (std::strcmp(function.name(), "aten::copy_") != 0 || function.inputs().size() < 2) return false;
  const auto &to = function.inputs()[0], &from = function.inputs()[1];
  return to.isTensor() && from.isTensor() && to.toTensor().is_cpu() && !from.toTensor().is_cpu();
}

std::unique_ptr<at::ObserverContext> count_wait(const at::RecordFunction& function) {
  if (kWaiting.count(function.name()) || copies_to_host(function)) waits++;
  return nullptr;
}

template <typename F>
char* returning(Tensor** out, F function) {
  try {
    *out = new Tensor(function());
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  }
}

}  // namespace

extern "C" {

// How factors of products may be rounded inside an operator of f32: 0 not at all, 1 to TF32, 2 to bf16 where a library can,
// and to TF32 where it cannot. Sums and results stay f32.
void stepshift_set_products(int32_t precision) {
  using at::Float32Backend, at::Float32Op, at::Float32Precision;
  auto& context = at::globalContext();
  const auto cuda = precision == 0 ? Float32Precision::IEEE : Float32Precision::TF32;
  const auto host = precision == 2 ? Float32Precision::BF16 : precision == 1 ? Float32Precision::TF32 : Float32Precision::IEEE;
  for (const auto op : {Float32Op::CONV, Float32Op::MATMUL}) {
    context.setFloat32Precision(Float32Backend::CUDA, op, cuda);
    context.setFloat32Precision(Float32Backend::MKLDNN, op, host);
  }
}

// Returns null and sets *out, or returns a message that the caller frees with stepshift_free. `zero` may be null.
char* stepshift_fake_quantize(Tensor** out, const Tensor* x, const Tensor* step, const Tensor* zero, bool stochastic,
                              int64_t axis, double lo, double hi) {
  return returning(out, [&] {
    std::optional<Tensor> noise;
    if (stochastic) noise = at::rand_like(x->detach(), at::MemoryFormat::Contiguous);
    return FakeQuantize::apply(*x, *step, optional(zero), noise, axis, lo, hi);
  });
}

// `x` under another name, whose gradient is what `replace` makes of it: a new tensor, or null to fail the backward pass.
// `user` is handed to `drop` once, when nothing can call `replace` any more.
char* stepshift_on_gradient(Tensor** out, const Tensor* x, Tensor* (*replace)(void*, Tensor*), void* user,
                            void (*drop)(void*)) {
  std::shared_ptr<void> owned(user, drop);
  return returning(out, [&] {
    Tensor y = x->view_as(*x);
    if (y.requires_grad()) {
      y.register_hook([replace, owned](const Tensor& gradient) -> Tensor {
        std::unique_ptr<Tensor> result(replace(owned.get(), new Tensor(gradient)));
        if (!result) throw std::runtime_error("a gradient could not be quantized");
        return *result;
      });
    }
    return y;
  });
}

// Opens libtorch's part for CUDA, which nothing links, and asks for algorithms that give the same bits at every run,
// in f32. Returns null, or a message that the caller frees with stepshift_free. To be called before anything asks for CUDA.
char* stepshift_open_cuda() {
  // cuBLAS is deterministic with a workspace of its own; a user's choice wins.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return strdup(dlerror());
  auto& context = at::globalContext();
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setDeterministicAlgorithms(true, /*warn_only=*/true);
  context.setDeterministicFillUninitializedMemory(false);
  stepshift_set_products(0);
  return nullptr;
}

// Counts the operators of this thread, and of its backward passes, that make the host wait for a device, until
// stepshift_end_count.
uint64_t stepshift_begin_count() {
  waits = 0;
  return at::addThreadLocalCallback(at::RecordFunctionCallback(count_wait).needsInputs(true));
}

int64_t stepshift_end_count(uint64_t handle) {
  at::removeCallback(handle);
  return waits;
}

void stepshift_free(char* message) { std::free(message); }
}
