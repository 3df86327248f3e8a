//! Time is spared where a budget of arena has room for it.

use stepshift_runtime::format::Packing;
use stepshift_runtime::{Backend, Model};
use stepshift_tests::random;
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode_with};
use stepshift_trainer::network::Network;
use stepshift_trainer::networks::NetworkName;

fn network(name: NetworkName) -> FixedPointNetwork {
    random::fixed_point(&Network::new(name.usual_input(), &name.layers(10)).unwrap(), 1)
}

fn encoded(network: &FixedPointNetwork, backend: Backend, prefer: Prefer) -> Vec<u8> {
    encode_with(network, Options { backend, prefer, ..Options::default() }).unwrap()
}

fn arena_bytes(file: &[u8]) -> usize {
    Model::parse(file).unwrap().arena_bytes()
}

/// Layers by Winograd's algorithm, whose scratch is the greatest.
fn transformed(file: &[u8]) -> usize {
    let model = Model::parse(file).unwrap();
    let packings = model.nodes().filter_map(|node| node.op.weights().map(|weights| weights.packing));
    packings.filter(|packing| *packing == Packing::Winograd).count()
}

#[test]
fn a_budget_is_kept_and_spent() {
    for (name, backend) in [
        (NetworkName::ResNet8, Backend::Dsp),
        (NetworkName::DsCnn, Backend::Dsp),
        (NetworkName::ResNet8, Backend::Mve),
        (NetworkName::DsCnn, Backend::V6m),
    ] {
        let network = network(name);
        let [memory, speed] = [Prefer::Memory, Prefer::Speed].map(|prefer| encoded(&network, backend, prefer));
        let [least, most] = [&memory, &speed].map(|file| arena_bytes(file));
        assert!(encoded(&network, backend, Prefer::SpeedWithin(most)) == speed, "{name:?} {backend:?}");
        let mut counts = Vec::new();
        for budget in (0..=8).map(|part| least + (most - least) * part / 8) {
            let file = encoded(&network, backend, Prefer::SpeedWithin(budget));
            assert!(arena_bytes(&file) <= budget, "{name:?} {backend:?}: {} of {budget}", arena_bytes(&file));
            counts.push(transformed(&file));
        }
        assert!(counts.is_sorted(), "{counts:?}");
        if (name, backend) == (NetworkName::ResNet8, Backend::Dsp) {
            assert!(0 < counts[0] && counts[0] < counts[8], "{counts:?}");
        }
        let without_room = encoded(&network, backend, Prefer::SpeedWithin(0));
        assert!(arena_bytes(&without_room) <= least, "{name:?} {backend:?}");
    }
}
