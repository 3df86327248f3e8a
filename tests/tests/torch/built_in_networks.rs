//! Every network that is built in: a step of training in float and one quantized, exported, and every code of its exact
//! forward compared with the runtime's.

use std::ops::ControlFlow;

use ndarray::Array4;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::Model;
use stepshift_runtime::format::Shape;
use stepshift_trainer::config::{self, Task};
use stepshift_trainer::data::{Dataset, Images};
use stepshift_trainer::export::encode;
use stepshift_trainer::networks::NetworkName;
use stepshift_trainer::torch::checkpoint::{self, EpochRecord};
use stepshift_trainer::torch::device::DeviceName;
use stepshift_trainer::torch::evaluation::evaluate;
use stepshift_trainer::torch::ptq::Report;
use stepshift_trainer::torch::training::{CHECKPOINT_FILE, Observer, Outcome, Progress, Training, quantized_network};

struct Silent;

impl Observer for Silent {
    fn batch(&mut self, _: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, _: &EpochRecord) {}

    fn calibrated(&mut self, _: &Report) {}
}

fn images(shape: Shape, count: usize, classes: usize, seed: u64) -> Images {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let extents = (count, shape.h.into(), shape.w.into(), shape.c.into());
    let codes = Array4::from_shape_simple_fn(extents, || rng.random_range(-128..=127_i8));
    let labels = (0..count).map(|index| (index % classes.min(256)) as u8).collect();
    Images::in_memory(codes, labels)
}

/// Inputs as small as the network takes them.
fn input(name: NetworkName) -> Shape {
    match name {
        NetworkName::NineConvolutions | NetworkName::MeanTeacher => Shape { h: 12, w: 12, c: 3 },
        NetworkName::ResNet8 | NetworkName::ResNet20 => Shape { h: 8, w: 8, c: 3 },
        NetworkName::MobileNetV1Quarter | NetworkName::MobileNetV2Small => Shape { h: 32, w: 32, c: 3 },
        NetworkName::SensorCnn => Shape { h: 1, w: 24, c: 6 },
        NetworkName::GruKeyword => Shape { h: 6, w: 10, c: 1 },
        NetworkName::LeNet5 | NetworkName::DsCnn | NetworkName::Autoencoder => name.usual_input(),
    }
}

#[test]
fn the_exact_forward_of_every_built_in_network_equals_the_runtime() {
    for name in NetworkName::ALL {
        let (shape, classes) = (input(name), if name == NetworkName::Autoencoder { 640 } else { 5 });
        let word = toml::Value::try_from(name).unwrap();
        let text = format!(
            "seed = 1\ndataset = 'idx'\nbatch_size = 4\nnetwork = {word}\n\
             float = {{ epochs = 1, optimizer = {{ learning_rate = 0.01 }} }}\n\
             quantized = {{ epochs = 1, freeze_after = 1, optimizer = {{ learning_rate = 0.001 }} }}\n"
        );
        let data = Dataset {
            train: images(shape, 8, classes, 1),
            test: images(shape, 3, classes, 2),
            classes,
            class_names: Vec::new(),
            anomalies: Vec::new(),
            input_exponent: -7,
            front_end: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let config = config::parse(&text).unwrap();
        let mut training =
            Training::new(config, text, data, folder.path(), DeviceName::Cpu.open().unwrap(), None).unwrap();
        assert_eq!(training.run(&mut Silent).unwrap(), Outcome::Finished);
        let (state, tensors) = checkpoint::load(&folder.path().join(CHECKPOINT_FILE)).unwrap();
        let network = quantized_network(&state, &tensors, training.data()).unwrap();
        let bytes = encode(&network.to_fixed_point().unwrap()).unwrap();
        let model = Model::parse(&bytes).unwrap();
        let result = evaluate(&network, model, training.data(), Task::Classification, |_| {}).unwrap();
        assert_eq!(result.difference, None, "{name:?}");
        assert_eq!((result.images, result.tensors), (3, 3 * model.step_count()), "{name:?}");
        // Outputs of a network that says nothing would be equal as well.
        let outputs = network.exact_codes(training.data().test.range(0..3).unwrap().view()).unwrap();
        let last = outputs.last().unwrap();
        assert!(last.iter().any(|code| *code != last[[0, 0, 0, 0]]), "{name:?}: every output is one code");
    }
}
