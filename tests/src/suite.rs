//! The suite that every backend's kernels pass: one layer a network, of every length from 1 to 9 that a loop may end in.

use std::borrow::ToOwned;
use std::vec::Vec;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::{Activation, AffineBinaryKind, BinaryKind, Element, Mean, Shape, WeightBits, Window};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights,
};

/// Greatest length: one more than the unrolled loops hold.
const LENGTHS: u16 = 9;

/// Every network of the suite; the same ones every time.
#[must_use]
pub fn networks() -> Vec<FixedPointNetwork> {
    let mut found = Vec::new();
    for (a, b) in (1..=LENGTHS).flat_map(|a| (1..=LENGTHS).map(move |b| (a, b))) {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(u64::from(a) << 8 | u64::from(b)));
        // Channels in and out; rows and columns; channels in fours, which some kernels alone take.
        found.extend(draw.convolution(a, b));
        found.extend(draw.wide_sums(a, b));
        found.push(draw.pointwise([a, b]));
        found.push(draw.fully_connected(a, b));
        found.push(draw.fully_connected(a + 24, b));
        found.extend(draw.depthwise([a, b], 4 * (1 + a % 3)));
        found.extend(draw.depthwise([b, 3], a));
        found.extend(draw.strips([a, b]));
        found.extend(draw.tiles([a + 3, b + 3]));
        found.extend(draw.tiles([b + 4, a + 4]));
        found.extend(draw.pool([a, 4], b));
        found.push(draw.mean([a, 3], b));
        found.push(draw.sum([1, a], b));
        found.extend(draw.affine_layer(a, b));
        found.push(draw.affine_sum([1, a], b));
        // Whole vectors of 16 channels, and some behind them; more pixels than a sum of 16 bits holds.
        found.extend(draw.depthwise([a, b], 16 + a % 2 * b));
        found.push(draw.mean([a + 9, 16], 16 + a % 2 * b));
        found.extend(draw.average_pool([a, b], 4 * (1 + a % 3)));
        found.extend(draw.average_pool([b, a], b));
        found.push(draw.average([a, b + 7], 4 * b));
        let halving = Window { stride_h: 2, stride_w: 2, ..Window::new(2, 2) };
        found.push(draw.averaged([2 * a, 2 * b], 4 * b, [a, b], halving));
        found.push(draw.in_place([a, b]));
        found.push(draw.with_room(a + 24, b + 30));
    }
    found
}

/// What a layer leaves open.
struct Draw(ChaCha8Rng);

impl Draw {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.random_range(0..of.len())]
    }

    /// Codes of 8 bits: those of 16 have the portable kernels alone in most places.
    fn element(&mut self) -> Element {
        self.one(&[Element::I8, Element::I8, Element::U8, Element::U8, Element::I16])
    }

    fn tensor(element: Element, [h, w]: [u16; 2], c: u16) -> FixedPointTensor {
        FixedPointTensor { element, ..FixedPointTensor::i8(Shape { h, w, c }, -4) }
    }

    /// Saturation alone, ReLU, and bounds that no instruction has.
    fn activation(&mut self, element: Element) -> Activation {
        let odd = Activation { min: element.min() / 2 + 3, max: 93 };
        let ends = [Activation::full(element), Activation::full(element), Activation::relu(element), odd];
        self.one(&ends)
    }

    /// Weights that reach every end: their sums leave the output's range, or meet ties.
    fn weights(&mut self, count: usize, out_ch: u16) -> FixedPointWeights {
        let bits =
            self.one(&[WeightBits::Eight, WeightBits::Eight, WeightBits::Four, WeightBits::Two, WeightBits::Sixteen]);
        let reach = self.one(&[1, 7, 127]).min(bits.max());
        let spread = self.one(&[1, 3]);
        let first = self.one(&[-5, -7, -10]);
        FixedPointWeights {
            bits,
            codes: (0..count).map(|_| self.0.random_range(-reach..=reach)).collect(),
            exponents: (0..out_ch).map(|channel| first - (channel % spread) as i8).collect(),
            mantissas: Vec::new(),
            bias: (0..out_ch).map(|_| self.0.random_range(-999..=999)).collect(),
        }
    }

    fn network(&mut self, input: FixedPointTensor, [h, w]: [u16; 2], c: u16, op: FixedPointOp) -> FixedPointNetwork {
        // Pools keep the element; the others may end in any of 8 bits.
        let same = matches!(op, FixedPointOp::MaxPool2d { .. });
        let element = if same { input.element } else { self.one(&[Element::I8, Element::U8]) };
        let output = Self::tensor(element, [h, w], c);
        let activation = self.activation(element);
        let layer = FixedPointLayer { name: "layer".to_owned(), inputs: std::vec![0], output, activation, op };
        FixedPointNetwork { input, layers: std::vec![layer] }
    }

    /// A window of any stride, dilation and padding, and the rows and columns that it gives; `None` where it does not fit.
    fn window(&mut self, [h, w]: [u16; 2]) -> Option<(Window, [u16; 2])> {
        let [kernel_h, kernel_w] = [self.0.random_range(1..=4), self.0.random_range(1..=5)];
        let mut pad = |kernel: u8| self.0.random_range(0..kernel);
        let (pad_top, pad_bottom, pad_left, pad_right) = (pad(kernel_h), pad(kernel_h), pad(kernel_w), pad(kernel_w));
        let (stride_h, stride_w) = (self.one(&[1, 1, 2, 3]), self.one(&[1, 1, 2, 3]));
        let dilation_w = self.one(&[1, 1, 1, 2]);
        let sides = Window { pad_top, pad_bottom, pad_left, pad_right, ..Window::new(kernel_h, kernel_w) };
        let window = Window { stride_h, stride_w, dilation_w, ..sides };
        let (h, w) = window.output_size(h, w)?;
        Some((window, [h, w]))
    }

    fn convolution(&mut self, in_ch: u16, out_ch: u16) -> Option<FixedPointNetwork> {
        let size = [self.0.random_range(1..=LENGTHS), self.0.random_range(1..=LENGTHS)];
        let (window, out) = self.window(size)?;
        let weights = self.weights(window.taps() * usize::from(in_ch * out_ch), out_ch);
        let input = Self::tensor(self.element(), size, in_ch);
        Some(self.network(input, out, out_ch, FixedPointOp::Conv2d { window, groups: 1, weights }))
    }

    /// A convolution of weights of 8 bits, whose sums have about as many bits as those of joined weights may have, or more.
    fn wide_sums(&mut self, in_ch: u16, out_ch: u16) -> Option<FixedPointNetwork> {
        let mut network = self.convolution(in_ch, out_ch)?;
        let reach = self.one(&[1 << 22, 7_500_000, 1 << 25]);
        if let FixedPointOp::Conv2d { weights, .. } = &mut network.layers[0].op {
            let codes = weights.codes.iter().map(|code| (*code).clamp(-127, 127)).collect();
            let bias = weights.bias.iter().map(|_| self.0.random_range(-reach..=reach)).collect();
            let exponents = weights.exponents.iter().map(|exponent| exponent - 9).collect();
            *weights = FixedPointWeights { bits: WeightBits::Eight, codes, exponents, mantissas: Vec::new(), bias };
        }
        Some(network)
    }

    /// Rows of any length, which a window of one pixel does not see end.
    fn pointwise(&mut self, size: [u16; 2]) -> FixedPointNetwork {
        let [in_ch, out_ch] = [self.one(&[3, 4, 5, 6, 7, 8, 16]), self.one(&[2, 4, 6, 8, 16])];
        let weights = self.weights(usize::from(in_ch * out_ch), out_ch);
        let input = Self::tensor(self.element(), size, in_ch);
        self.network(input, size, out_ch, FixedPointOp::Conv2d { window: Window::new(1, 1), groups: 1, weights })
    }

    fn fully_connected(&mut self, len: u16, out_ch: u16) -> FixedPointNetwork {
        let weights = self.weights(usize::from(len * out_ch), out_ch);
        let input = Self::tensor(self.element(), [1, 1], len);
        self.network(input, [1, 1], out_ch, FixedPointOp::FullyConnected { weights })
    }

    /// A fully connected layer behind a pool that needs so much of the arena that there is room for a column of its inputs.
    fn with_room(&mut self, len: u16, out_ch: u16) -> FixedPointNetwork {
        let mut dense = self.fully_connected(len, out_ch);
        let input = Self::tensor(dense.input.element, [8, 1], len);
        let pool = FixedPointOp::MaxPool2d { window: Window::new(8, 1) };
        let mut network = self.network(input, [1, 1], len, pool);
        network.layers.extend(dense.layers.drain(..).map(|layer| FixedPointLayer { inputs: std::vec![1], ..layer }));
        network
    }

    fn depthwise(&mut self, size: [u16; 2], channels: u16) -> Option<FixedPointNetwork> {
        let (window, out) = self.window(size)?;
        let weights = self.weights(window.taps() * usize::from(channels), channels);
        let input = Self::tensor(self.element(), size, channels);
        Some(self.network(input, out, channels, FixedPointOp::DepthwiseConv2d { window, weights }))
    }

    /// Depthwise 3x3 of stride 1, which has a loop of its own.
    fn strips(&mut self, size: [u16; 2]) -> Option<FixedPointNetwork> {
        let mut pad = || self.0.random_range(0..=2);
        let (pad_top, pad_bottom, pad_left, pad_right) = (pad(), pad(), pad(), pad());
        let window = Window { pad_top, pad_bottom, pad_left, pad_right, ..Window::new(3, 3) };
        let (h, w) = window.output_size(size[0], size[1])?;
        let channels = self.one(&[8, 8, 5, 6, 11]);
        let weights = self.weights(9 * usize::from(channels), channels);
        let weights = FixedPointWeights { bits: WeightBits::Eight, ..weights };
        let element = self.one(&[Element::I8, Element::U8]);
        let input = Self::tensor(element, size, channels);
        Some(self.network(input, [h, w], channels, FixedPointOp::DepthwiseConv2d { window, weights }))
    }

    /// The same with an output that may lie in its input's place, of either scheme; with many channels it does so memory first.
    fn in_place(&mut self, size: [u16; 2]) -> FixedPointNetwork {
        let [pad_top, pad_left] = [0, 1].map(|_| self.0.random_range(0..=2));
        let padded =
            Window { pad_top, pad_bottom: 2 - pad_top, pad_left, pad_right: 2 - pad_left, ..Window::new(3, 3) };
        let channels = self.one(&[4, 8, 64, 128, 6]);
        let weights = self.weights(9 * usize::from(channels), channels);
        let weights = FixedPointWeights { bits: WeightBits::Eight, ..weights };
        let element = self.one(&[Element::I8, Element::U8]);
        let input = Self::tensor(element, size, channels);
        let op = FixedPointOp::DepthwiseConv2d { window: padded, weights };
        let mut network = self.network(input, size, channels, op);
        network.layers[0].activation = Activation::full(network.layers[0].output.element);
        if self.one(&[true, false]) { self.affine(network) } else { network }
    }

    /// Convolutions of 3x3 of stride 1, which have transformed weights; of channels for the unrolled loop once, and more often.
    fn tiles(&mut self, size: [u16; 2]) -> Option<FixedPointNetwork> {
        let mut pad = || self.0.random_range(0..=2);
        let (pad_top, pad_bottom, pad_left, pad_right) = (pad(), pad(), pad(), pad());
        let window = Window { pad_top, pad_bottom, pad_left, pad_right, ..Window::new(3, 3) };
        let (h, w) = window.output_size(size[0], size[1])?;
        let (in_ch, out_ch) = (self.one(&[8, 8, 12, 16, 32, 36, 68, 72]), self.0.random_range(1..=5));
        let weights = self.weights(9 * usize::from(in_ch * out_ch), out_ch);
        let element = self.one(&[Element::I8, Element::U8]);
        let input = Self::tensor(element, size, in_ch);
        Some(self.network(input, [h, w], out_ch, FixedPointOp::Conv2d { window, groups: 1, weights }))
    }

    fn pool(&mut self, size: [u16; 2], channels: u16) -> Option<FixedPointNetwork> {
        let (window, out) = self.window(size).filter(|(window, _)| window.dilation_w == 1)?;
        let input = Self::tensor(self.element(), size, channels);
        Some(self.network(input, out, channels, FixedPointOp::MaxPool2d { window }))
    }

    /// A mean over windows, in either scheme.
    fn average_pool(&mut self, size: [u16; 2], channels: u16) -> Option<FixedPointNetwork> {
        let (window, out) = self.window(size).filter(|(window, _)| window.dilation_w == 1)?;
        Some(self.averaged(size, channels, out, window))
    }

    /// The same over the whole image, some of more codes than a sum of 16 bits holds.
    fn average(&mut self, [h, w]: [u16; 2], channels: u16) -> FixedPointNetwork {
        let times = self.one(&[1, 3]);
        self.averaged([times * h, w], channels, [1, 1], Window::new((times * h) as u8, w as u8))
    }

    fn averaged(&mut self, size: [u16; 2], channels: u16, out: [u16; 2], window: Window) -> FixedPointNetwork {
        let input = Self::tensor(self.element(), size, channels);
        if self.one(&[true, false]) {
            return self.network(input, out, channels, FixedPointOp::AveragePool2d { window });
        }
        let input = self.scaled(input);
        let mut network = self.network(input, out, channels, FixedPointOp::AffineAveragePool2d { window });
        let layer = &mut network.layers[0];
        layer.output = FixedPointTensor { shape: layer.output.shape, ..input };
        layer.activation = self.activation(input.element);
        network
    }

    fn mean(&mut self, size: [u16; 2], channels: u16) -> FixedPointNetwork {
        let input = Self::tensor(self.element(), size, channels);
        self.network(input, [1, 1], channels, FixedPointOp::Mean { axes: Mean::GLOBAL })
    }

    fn sum(&mut self, size: [u16; 2], channels: u16) -> FixedPointNetwork {
        let kind = self.one(&[BinaryKind::Add, BinaryKind::Sub]);
        let input = Self::tensor(self.element(), size, channels);
        // The second operand has another step.
        let mut network = self.network(input, size, channels, FixedPointOp::Rescale);
        network.layers[0].output.exponent = self.one(&[-3, -4, -5]);
        let sum = self.network(input, size, channels, FixedPointOp::Binary(kind)).layers.remove(0);
        network.layers.push(FixedPointLayer { inputs: std::vec![0, 1], ..sum });
        network
    }

    /// A layer with weights in the affine scheme.
    fn affine_layer(&mut self, a: u16, b: u16) -> Option<FixedPointNetwork> {
        let network = match (a + b) % 5 {
            0 => self.fully_connected(a + 24, b),
            1 => self.depthwise([a, b], 4 * (1 + a % 3))?,
            2 => self.tiles([a + 3, b + 3])?,
            _ => self.convolution(a, b)?,
        };
        Some(self.affine(network)).filter(|network| network.input.element != Element::I16)
    }

    /// The same layer with scales and zero points; by some of them a multiplication shifts left.
    fn affine(&mut self, mut network: FixedPointNetwork) -> FixedPointNetwork {
        network.input = self.scaled(network.input);
        for layer in &mut network.layers {
            layer.output = self.scaled(layer.output);
            let (FixedPointOp::Conv2d { weights, .. }
            | FixedPointOp::DepthwiseConv2d { weights, .. }
            | FixedPointOp::FullyConnected { weights }) = &mut layer.op
            else {
                continue;
            };
            let first = self.one(&[-2, -23, -24, -28]);
            let exponents = weights.exponents.iter().map(|exponent| first + exponent % 4);
            weights.exponents = exponents.map(|exponent| if first < -2 { exponent } else { -22 }).collect();
            weights.mantissas = weights.bias.iter().map(|_| self.0.random_range(1 << 21..1 << 22) | 1).collect();
        }
        network
    }

    fn scaled(&mut self, tensor: FixedPointTensor) -> FixedPointTensor {
        let zero = self.0.random_range(tensor.element.min()..=tensor.element.max());
        FixedPointTensor { mantissa: self.one(&[1, 3, 5]), zero, ..tensor }
    }

    /// A sum in the affine scheme, whose second operand has a scale of its own, or that of the first.
    fn affine_sum(&mut self, size: [u16; 2], channels: u16) -> FixedPointNetwork {
        let element = self.one(&[Element::I8, Element::U8]);
        let weights = FixedPointWeights { bits: WeightBits::Eight, ..self.weights(channels.into(), channels) };
        let input = Self::tensor(element, size, channels);
        let op = FixedPointOp::DepthwiseConv2d { window: Window::new(1, 1), weights };
        let network = self.network(input, size, channels, op);
        let mut network = self.affine(network);
        network.layers[0].output.element = element;
        network.layers[0].output = self.scaled(network.layers[0].output);
        if self.one(&[true, false]) {
            network.layers[0].output =
                FixedPointTensor { mantissa: network.input.mantissa, ..network.layers[0].output };
        }
        network.layers[0].activation = Activation::full(element);
        let output = self.scaled(Self::tensor(element, size, channels));
        let kind = self.one(&[AffineBinaryKind::Add, AffineBinaryKind::Add, AffineBinaryKind::Sub]);
        network.layers.push(FixedPointLayer {
            name: "sum".to_owned(),
            inputs: std::vec![0, 1],
            output: FixedPointTensor { exponent: self.one(&[-4, -3]), ..output },
            activation: self.activation(element),
            op: FixedPointOp::AffineBinary(kind),
        });
        network
    }
}
