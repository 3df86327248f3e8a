// The functions of fake_quantize.cuh for whole tensors: a loop on the host, one kernel on a GPU.

#pragma once

#include <torch/torch.h>

#include <ATen/Parallel.h>
#include <cmath>
#include <optional>
#include <string>

#include "fake_quantize_text.h"

namespace {

using at::Tensor;
using std::floor, std::frexp, std::ldexp;
#include "fake_quantize.cuh"

// A loop for each of the processors that there are, which vectorizes for it. Other compilers than GCC 11 name processors otherwise.
#if defined(__x86_64__) && defined(__linux__) && __GNUC__ >= 11
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

constexpr int64_t kGrain = 1 << 14;

// How real values become codes: one step and one zero point for all, or for each entry of dimension `axis`. `format` is that of the
// values in memory, which results have as well.
struct Codes {
  Tensor step;
  std::optional<Tensor> zero;
  int64_t axis;
  double lo, hi;
  at::MemoryFormat format;
};

// libtorch's at::cuda::CompileAndLaunchKernel, of the part for CUDA that nothing links: compiles a text once, and calls a function
// of it for every element.
using Launch = c10::SmallVector<Tensor>(const std::string&, const std::string&, int, const c10::SmallVector<Tensor>&,
                                        const c10::SmallVector<at::Scalar>&, bool);
constexpr char kLaunch[] =
    "_ZN2at4cuda22CompileAndLaunchKernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES8_iRKN3c1011SmallVectorINS_"
    "6TensorELj6EEERKNSA_INS9_6ScalarELj1EEEb";
Launch* launch = nullptr;

// One value for each channel, in the shape that broadcasts over x.
Tensor shaped(const Tensor& values, const Tensor& x, int64_t axis) {
  if (values.numel() == 1) return values.reshape({});
  std::vector<int64_t> shape(x.dim(), 1);
  shape[axis] = values.numel();
  return values.view(shape);
}

// The function `name` of the text on a GPU, for every element of tensors that broadcast.
Tensor launched(const char* name, const c10::SmallVector<Tensor>& tensors, const c10::SmallVector<at::Scalar>& numbers) {
  TORCH_CHECK(launch, "libtorch's part for CUDA was not opened");
  // libtorch finds what it compiled by the text and the types, not by the name: two functions of one text would be the same to it.
  return launch(std::string(kFakeQuantizeText) + "// " + name + "\n", name, 1, tensors, numbers, false)[0];
}

template <typename... Tensors>
Tensor launched_with(const Codes& codes, const char* name, const Tensor& x, const Tensors&... others) {
  c10::SmallVector<Tensor> tensors{x, others..., shaped(codes.step, x, codes.axis)};
  c10::SmallVector<at::Scalar> numbers{codes.lo, codes.hi};
  if (codes.zero) {
    tensors.push_back(shaped(*codes.zero, x, codes.axis));
  } else {
    numbers.insert(numbers.begin(), 0.0);
  }
  return launched(name, tensors, numbers);
}

template <typename T, typename F>
FOR_EVERY_PROCESSOR void fill(T* __restrict out, int64_t begin, int64_t end, F element) {
  for (int64_t i = begin; i < end; i++) out[i] = element(i);
}

// All values lie as those of `result`: one behind the other, [outer, C, inner], whichever dimensions these are of.
template <typename T, typename F, typename... Pointers>
void loop(F function, const Codes& codes, const Tensor& result, const Pointers*... from) {
  T* const out = result.mutable_data_ptr<T>();
  const Tensor step = codes.step.contiguous(), zero = codes.zero ? codes.zero->contiguous() : at::zeros_like(step);
  const T *const steps = step.const_data_ptr<T>(), *const zeros = zero.const_data_ptr<T>();
  const int64_t channels = step.numel(), inner = channels > 1 ? result.stride(codes.axis) : result.numel();
  const double lo = codes.lo, hi = codes.hi;
  at::parallel_for(0, result.numel(), kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / inner, channel = row % channels;
      const int64_t stop = std::min(end, inner == 1 ? begin - channel + channels : (row + 1) * inner);
      const T *const step = steps + channel, *const zero = zeros + channel;
      if (inner == 1) {
        fill(out, begin, stop, [=](int64_t i) { return function(from[i]..., step[i - begin], zero[i - begin], lo, hi); });
      } else {
        fill(out, begin, stop, [=, step = *step, zero = *zero](int64_t i) { return function(from[i]..., step, zero, lo, hi); });
      }
      begin = stop;
    }
  });
}

// `function`, of the text's function `name`, for every element of x and of the others, all of one shape.
template <typename F, typename... Tensors>
Tensor for_each(const char* name, F function, const Codes& codes, const Tensor& x, const Tensors&... others) {
  if (x.is_cuda()) return launched_with(codes, name, x, others...);
  const Tensor result = at::empty_like(x, codes.format);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fake_quantize", [&] {
    loop<scalar_t>(function, codes, result, x.contiguous(codes.format).const_data_ptr<scalar_t>(),
                   others.contiguous(codes.format).template const_data_ptr<scalar_t>()...);
  });
  return result;
}

#define FOR_EACH(function, ...) \
  for_each(#function, [](auto... values) { return function(values...); }, __VA_ARGS__)

// A step for each range.
Tensor covering_steps(const Tensor& ranges, double significand, double bits) {
  if (ranges.is_cuda()) return launched("covering_step", {ranges}, {significand, bits});
  const Tensor from = ranges.contiguous(), result = at::empty_like(from);
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "covering_step", [&] {
    const scalar_t* const range = from.const_data_ptr<scalar_t>();
    scalar_t* const step = result.mutable_data_ptr<scalar_t>();
    for (int64_t i = 0; i < from.numel(); i++) step[i] = covering_step(range[i], significand, bits);
  });
  return result;
}

}  // namespace
