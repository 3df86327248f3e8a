// Autograd functions that tch cannot express.
// C ABI; every exception ends here and is returned as an allocated message.

#include <torch/torch.h>

#include <ATen/record_function.h>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "elementwise.h"

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

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
    const Codes codes{step, zero, axis, lo, hi, input.suggest_memory_format()};
    const Tensor y =
        noise ? FOR_EACH(stochastic_fake_quantize, codes, input, *noise) : FOR_EACH(fake_quantize, codes, input);
    // The input tells what was clamped. A mask would spare three of its four bytes and take a kernel more, whose results are of
    // one type. The output is what a learned step needs.
    const Tensor output = step.requires_grad() ? y : Tensor();
    ctx->save_for_backward({input, step, zero.value_or(Tensor()), output});
    ctx->saved_data["axis"] = axis;
    ctx->saved_data["lo"] = lo;
    ctx->saved_data["hi"] = hi;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &gradient = gradients[0], &x = saved[0], &step = saved[1], &zero = saved[2], &output = saved[3];
    const Codes codes{step, zero.defined() ? std::optional(zero) : std::nullopt, ctx->saved_data["axis"].toInt(),
                      ctx->saved_data["lo"].toDouble(), ctx->saved_data["hi"].toDouble(), x.suggest_memory_format()};
    const Tensor of_input = FOR_EACH(input_gradient, codes, gradient, x);
    Tensor of_step;
    if (output.defined()) of_step = channel_sum(FOR_EACH(step_gradient, codes, gradient, x, output), step, codes.axis);
    return {of_input, of_step, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
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

// The least steps 2^e by which codes up to significand * 2^bits cover ranges, which have no gradient.
char* stepshift_covering_steps(Tensor** out, const Tensor* ranges, double significand, double bits) {
  return returning(out, [&] { return covering_steps(ranges->detach(), significand, bits); });
}

// The text that a GPU runs, and the symbol by which it is given to libtorch.
const char* stepshift_fake_quantize_text() { return kFakeQuantizeText; }
const char* stepshift_launch_symbol() { return kLaunch; }

// Keeps what a `replace` says of its failure.
void stepshift_tell(std::string* failure, const char* text) { *failure = text; }

// `x` under another name, whose gradient is what `replace` makes of it: a new tensor, or null to fail the backward pass.
// `user` is handed to `drop` once, when nothing can call `replace` any more.
char* stepshift_on_gradient(Tensor** out, const Tensor* x, Tensor* (*replace)(void*, Tensor*, std::string*),
                            void* user, void (*drop)(void*)) {
  std::shared_ptr<void> owned(user, drop);
  return returning(out, [&] {
    Tensor y = x->view_as(*x);
    if (y.requires_grad()) {
      y.register_hook([replace, owned](const Tensor& gradient) -> Tensor {
        std::string failure;
        std::unique_ptr<Tensor> result(replace(owned.get(), new Tensor(gradient), &failure));
        if (!result) throw std::runtime_error("a gradient could not be quantized: " + failure);
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
  void* const library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (!library) return strdup(dlerror());
  launch = reinterpret_cast<Launch*>(dlsym(library, kLaunch));
  if (!launch) return strdup("libtorch_cuda.so has no at::cuda::CompileAndLaunchKernel as that of libtorch 2.11");
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
