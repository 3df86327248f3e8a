// Autograd functions that tch cannot express.
// C ABI; every exception ends here and is returned as an allocated message.

#include <torch/torch.h>

#include <ATen/Parallel.h>
#include <cmath>
#include <cstdlib>
#include <cstring>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

constexpr int64_t kGrain = 1 << 14;

// Spec 1.2. `t` is x / step, exact since the step is a power of two.
template <typename T>
inline T round_half_up(T t) {
  T f = std::floor(t);
  return t - f >= T(0.5) ? f + T(1) : f;
}

// x is [C, inner]; one step for each of the C rows.
template <typename T>
void fake_quantize_rows(const T* x, const T* steps, T* y, bool* inside, int64_t rows, int64_t inner, T lo, T hi) {
  at::parallel_for(0, rows * inner, kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / inner;
      const int64_t stop = std::min(end, (row + 1) * inner);
      const T step = steps[row], inverse = T(1) / step;
      for (int64_t i = begin; i < stop; i++) {
        const T t = x[i] * inverse;
        const T q = round_half_up(t);
        inside[i] = t >= lo - T(0.5) && t < hi + T(0.5);
        y[i] = std::min(std::max(q, lo), hi) * step;
      }
      begin = stop;
    }
  });
}

Tensor step_shaped(const Tensor& step, const Tensor& x) {
  if (step.numel() == 1) return step.reshape({});
  std::vector<int64_t> shape(x.dim(), 1);
  shape[0] = step.numel();
  return step.view(shape);
}

struct FakeQuantize : Function<FakeQuantize> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& step, double lo, double hi) {
    TORCH_CHECK(step.numel() == 1 || (input.dim() > 0 && step.numel() == input.size(0)),
                "fake_quantize takes one step, or one for each entry of the first dimension");
    TORCH_CHECK(step.scalar_type() == input.scalar_type(), "fake_quantize takes steps of the input's type");
    const Tensor x = input.contiguous();
    Tensor y, inside;
    if (x.is_cpu()) {
      const Tensor steps = step.contiguous();
      y = at::empty_like(x);
      inside = at::empty_like(x, x.options().dtype(at::kBool));
      const int64_t rows = steps.numel(), inner = x.numel() / std::max<int64_t>(rows, 1);
      AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fake_quantize", [&] {
        fake_quantize_rows<scalar_t>(x.const_data_ptr<scalar_t>(), steps.const_data_ptr<scalar_t>(),
                                     y.mutable_data_ptr<scalar_t>(), inside.mutable_data_ptr<bool>(), rows, inner,
                                     static_cast<scalar_t>(lo), static_cast<scalar_t>(hi));
      });
    } else {
      const Tensor s = step_shaped(step, x);
      const Tensor t = x / s;
      const Tensor f = t.floor();
      inside = t.ge(lo - 0.5).logical_and_(t.lt(hi + 0.5));
      y = (f + (t - f).ge(0.5)).clamp_(lo, hi).mul_(s);
    }
    ctx->save_for_backward({inside});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradient) {
    return {gradient[0] * ctx->get_saved_variables()[0], Tensor(), Tensor(), Tensor()};
  }
};

template <typename F>
char* returning(Tensor** out, F function) {
  try {
    *out = new Tensor(function());
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  }
}

}  // namespace

extern "C" {

// Returns null and sets *out, or returns a message that the caller frees with stepshift_free.
char* stepshift_fake_quantize(Tensor** out, const Tensor* x, const Tensor* step, double lo, double hi) {
  return returning(out, [&] { return FakeQuantize::apply(*x, *step, lo, hi); });
}

void stepshift_free(char* message) { std::free(message); }
}
