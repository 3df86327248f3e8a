//! `defmt::Format` of what holds bytes: their number instead of the bytes, which would flood a log.

use defmt::{Format, Formatter, write};

use crate::embed::{Decoded, DecodedFile, KeptBytes};
use crate::format::{
    AffineSoftmax, AveragePool2d, Certificate, Epilogue, LeakyRelu, Links, ModelFile, Multiply, Name, Softmax, Table,
    WeightBits, Weights,
};
use crate::front_end::{FeatureStream, FrontEnd, FrontEndFile};
use crate::kernels::{AnyWidth, Bands, Bytes, InOut, Packed, Typed, View, ViewMut, Words};
use crate::{Codes, CodesMut, DecodedBuffers, Model, ModelHandle, NodeOutput, Nodes, Session, Vectors};

/// One implementation: what is written of `$it`.
macro_rules! format {
    ([$($generics:tt)*] $name:ty, |$it:ident| $($text:tt)*) => {
        impl<$($generics)*> Format for $name {
            fn format(&self, f: Formatter<'_>) {
                let $it = self;
                write!(f, $($text)*);
            }
        }
    };
    ($name:ty, |$it:ident| $($text:tt)*) => {
        format!([] $name, |$it| $($text)*);
    };
}

format!(Weights<'_>, |it| "Weights of {} in {} bytes, {}", it.bits, it.codes.len(), it.epilogue);
format!(Epilogue<'_>, |it| "end of {} entries", it.len());
format!(Multiply<'_>, |it| "Multiply, {} entries to zero {}", it.shifts.len(), it.output_zero);
format!(AveragePool2d<'_>, |it| "AveragePool2d of {}, {}", it.input, it.window);
format!(LeakyRelu<'_>, |it| "LeakyRelu of {}, {} slopes", it.input, it.slopes.len() / 2);
format!(Table<'_>, |it| "Table of {}", it.input);
format!(Softmax<'_>, |it| "Softmax of {}", it.input);
format!(AffineSoftmax<'_>, |it| "AffineSoftmax of {}", it.input);
format!(Certificate<'_>, |it| "Certificate of {} steps", it.digests.len() / 4);
format!(ModelFile<'_>, |it| "ModelFile, {}, {} nodes", it.needs, it.nodes.len());
format!([const LINKS: Links] Model<'_, LINKS>, |it| "Model {=u32:#x}, {} nodes, arena {}", it.crc(), it.node_count(), it.arena_bytes());
format!([const NODES: usize, const TENSORS: usize] DecodedFile<NODES, TENSORS>, |_it| "DecodedFile, {} nodes", NODES);
format!(Decoded<'_>, |it| "Decoded, {} nodes", it.ops.len());
format!([const NODES: usize, const TENSORS: usize] DecodedBuffers<'_, NODES, TENSORS>, |_it| "DecodedBuffers of {} nodes", NODES);
format!([const BYTES: usize] KeptBytes<BYTES>, |_it| "KeptBytes, {} bytes", BYTES);
format!([const LINKS: Links] Nodes<'_, LINKS>, |it| "{} nodes", it.remaining());
format!(['m, const LINKS: Links, M: ModelHandle<'m, LINKS>] Session<'m, '_, LINKS, M>, |it| "Session of {}", it.model());
format!(NodeOutput<'_>, |it| "step {}: {} wrote {}", it.step, it.name.as_str(), it.tensor.shape);
format!(Vectors<'_>, |it| "Vectors of {} images", it.image_count());
format!(Name<'_>, |it| "{=str}", it.as_str());
format!(Codes<'_>, |it| "{} codes {}", it.len(), it.element());
format!(CodesMut<'_>, |it| "{} codes", it.len());
format!(View<'_>, |it| "View {} from row {}", it.shape, it.first_row);
format!(ViewMut<'_>, |it| "ViewMut {} from row {}", it.shape, it.first_row);
format!([const LINKS: Links] Bands<'_, LINKS>, |it| "Bands of {}", it.output().shape);
format!([X] Typed<'_, X>, |it| "Typed {} from row {}", it.shape, it.first_row);
format!(InOut<'_>, |it| "InOut {}", it.shape());
format!(Bytes<'_>, |_it| "codes of {}", WeightBits::Eight);
format!([const BITS: usize] Packed<'_, BITS>, |_it| "codes of {} bits", BITS);
format!(AnyWidth<'_>, |it| "codes of {}", it.bits);
format!(Words<'_>, |_it| "codes of {}", WeightBits::Sixteen);
format!(FrontEndFile<'_>, |it| "FrontEndFile, {}", it.needs);
format!(FrontEnd<'_>, |_it| "FrontEnd");
format!(FeatureStream<'_>, |_it| "FeatureStream");
