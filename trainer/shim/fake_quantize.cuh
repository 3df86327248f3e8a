// One element of a fake-quantize, of its gradients and of its steps. The host compiles this text as C++, and libtorch compiles it
// for a GPU at run time: so it includes nothing, and finds `floor` and its kin where it is. Nothing is added to a product, which
// a compiler might round once instead of twice: all devices give the same bits.
//
// First what differs from element to element, then the step and the code of 0, then the least and the greatest code.

// Spec 1.2 for u = 1/2, spec 6.4 for a uniform u: t goes up where its fraction reaches 1 - u, a difference that is exact.
template <typename T>
T rounded(T t, T u) {
  const T f = floor(t);
  return f + (t - f >= T(1) - u ? T(1) : T(0));
}

template <typename T>
T stochastic_fake_quantize(T x, T noise, T step, T zero, double lo, double hi) {
  const T code = rounded(x / step, noise), least = T(lo) - zero, greatest = T(hi) - zero;
  return (code < least ? least : code > greatest ? greatest : code) * step;
}

template <typename T>
T fake_quantize(T x, T step, T zero, double lo, double hi) {
  return stochastic_fake_quantize(x, T(0.5), step, zero, lo, hi);
}

// Whether the nearest code of t is one of those that there are. Spec 6.3.
template <typename T>
bool is_inside(T t, T zero, double lo, double hi) {
  return (t >= T(lo) - zero - T(0.5)) & (t < T(hi) - zero + T(0.5));
}

// The gradient of x. Spec 6.3.
template <typename T>
T input_gradient(T gradient, T x, T step, T zero, double lo, double hi) {
  return is_inside(x / step, zero, lo, hi) ? gradient : T(0);
}

// What an element, which became y, adds to the gradient of its step (Esser et al. 2020, equation 3): (q - t) inside the range, q
// outside of it.
template <typename T>
T step_gradient(T gradient, T x, T y, T step, T zero, double lo, double hi) {
  const T t = x / step;
  return gradient * (y / step - (is_inside(t, zero, lo, hi) ? t : T(0)));
}

// The least step 2^e by which codes cover a range. Spec 1.4. The greatest code is significand * 2^bits, the significand from 1/2
// to below 1. Below 2^-126 floats lose bits, and a step would become 0.
template <typename T>
T covering_step(T range, double significand, double bits) {
  int exponent;
  const T mantissa = frexp(range, &exponent);
  exponent += (mantissa > T(significand)) - int(bits);
  return ldexp(T(1), exponent < -126 ? -126 : exponent);
}
