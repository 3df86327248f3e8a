//! The source for microflow: its macro on the file, and tensors of the shapes that it expects.

use serde_json::Value;

use crate::{input, layers, output, shape_of};

/// The network, its tensors, and the ways from and to plain codes. microflow has matrices of pixels, column by column.
pub(crate) fn source(model: &Value, tflite: &str) -> String {
    let (scale, zero) = (input(model)["scale"].as_f64().expect("a scale") as f32, &input(model)["zero"]);
    let (first, last) = (&layers(model)[0], &layers(model)[layers(model).len() - 1]);
    let buffer = if is_vector(first) {
        "Buffer2D::from_fn(|_, c| code(c))"
    } else {
        "[Buffer2D::from_fn(|y, x| core::array::from_fn(|c| code((y * IN[1] + x) * IN[2] + c)))]"
    };
    let code = if is_vector(last) {
        "output.buffer[(0, index)]"
    } else {
        "output.buffer[0][(index / OUT[2] / OUT[1], index / OUT[2] % OUT[1])][index % OUT[2]]"
    };
    let (input_type, output_type) = (tensor(first, "IN"), tensor(last, "OUT"));
    format!(
        "#[microflow::model({tflite:?})]\nstruct Network;\n\
         #[allow(dead_code)]\nconst IN: [usize; 3] = {:?};\n#[allow(dead_code)]\nconst OUT: [usize; 3] = {:?};\n\
         type ModelInput = {input_type};\ntype ModelOutput = {output_type};\n\
         fn prepare(input: Input) -> ModelInput {{\n\
         let code = |index| {{ let mut rest = input; rest.nth(index).unwrap_or_default() }};\n\
         ModelInput::new({buffer}, [{scale:?}], [{zero}])\n}}\n\
         fn code(output: &ModelOutput, index: usize) -> i8 {{ {code} }}\n",
        shape_of(input(model)),
        shape_of(output(model))
    )
}

/// TensorFlow Lite has vectors as rows of a matrix.
fn is_vector(layer: &Value) -> bool {
    layer["op"] == "fully_connected" || layer["op"] == "softmax"
}

/// The type of a layer's input or output, whose extent is the constant `shape`.
fn tensor(layer: &Value, shape: &str) -> String {
    if is_vector(layer) {
        format!("Tensor2D<i8, 1, {{ {shape}[2] }}, 1>")
    } else {
        format!("Tensor4D<i8, 1, {{ {shape}[0] }}, {{ {shape}[1] }}, {{ {shape}[2] }}, 1>")
    }
}
