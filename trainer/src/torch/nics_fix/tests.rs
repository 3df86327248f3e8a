use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::torch::test_numbers::normal;

fn values(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

/// Two convolutions, the second inside of a block, with an activation quantizer behind each.
struct Net {
    variables: nn::VarStore,
    top: FixTopModule,
    conv: Conv2dFix,
    conv_out: ActivationFix,
    block: ConvBnFix,
    block_out: ActivationFix,
}

impl Net {
    fn new() -> Self {
        let (variables, top) = (nn::VarStore::new(Device::Cpu), FixTopModule::new());
        let (root, fix) = (variables.root(), top.root());
        let config = ConvConfig { padding: 1, ..ConvConfig::new(3) };
        let block = fix.sub("block");
        let net = Self {
            conv: Conv2dFix::new(&(&root / "conv"), &fix.sub("conv"), 2, 4, config).unwrap(),
            conv_out: ActivationFix::new(&fix.sub("conv_out")),
            block: ConvBnFix::new(&(&root / "block" / "conv"), &block.sub("conv"), 4, 4, config).unwrap(),
            block_out: ActivationFix::new(&block.sub("out")),
            variables,
            top,
        };
        for (seed, name) in [(1, "conv.weight"), (2, "block.conv.weight")] {
            let mut weight = net.variables.variables().remove(name).unwrap();
            tch::no_grad(|| weight.copy_(&(normal(seed, &weight.size()) * 0.3)));
        }
        net
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.conv_out.forward(&self.conv.forward(x)?.relu())?;
        self.block_out.forward(&self.block.forward(&x, train)?)
    }

    fn set(&self, method: FixMethod, selector: Selector<'_>) -> usize {
        self.top.set_fix_method(method, selector, false).unwrap()
    }
}

fn input() -> Tensor {
    normal(9, &[4, 2, 6, 6])
}

fn one(fix: &FixPath) -> Fix {
    fix.activation("mine")
}

/// Defect 1: the clamp permits `+2^(b-1)`. Defect 2: ties go to even.
#[test]
fn ties_go_up_and_no_code_is_behind_the_greatest() {
    let top = FixTopModule::new();
    let fix = one(&top.root());
    fix.set_config(FixConfig::fixed(8, 128.0), false).unwrap();
    let x = Tensor::from_slice(&[0.5_f32, 1.5, 2.5, -0.5, -1.5, 128.0, 1e9, -1e9]);
    assert_eq!(values(&fix.forward(&x).unwrap()), [1.0, 2.0, 3.0, 0.0, -1.0, 127.0, 127.0, -128.0]);
}

/// Defect 10: float_scale with FIX_FIXED recomputes the scale from the evaluation batch. Defect 18: the last batch's scale alone counts.
#[test]
fn a_fixed_scale_is_the_average_of_what_was_seen_and_stays() {
    for float_scale in [false, true] {
        let top = FixTopModule::new();
        let fix = one(&top.root());
        fix.set_config(FixConfig { float_scale, ..FixConfig::auto(8) }, false).unwrap();
        for _ in 0..20 {
            let _ = fix.forward(&Tensor::from_slice(&[0.9_f32, -0.3])).unwrap();
        }
        let _ = fix.forward(&Tensor::from_slice(&[1.5_f32])).unwrap();
        top.set_fix_method(FixMethod::Fixed, Selector::default(), false).unwrap();
        let scale = fix.config(false).scale;
        assert!((scale[0] - if float_scale { 0.96 } else { 1.0 }).abs() < 1e-6, "{scale:?}");
        let far = fix.forward(&Tensor::from_slice(&[100_f32])).unwrap();
        assert!(values(&far)[0] < 1.1);
        assert_eq!(fix.config(false).scale, scale);
    }
}

/// Defect 12: FIX_FIXED with scale 0 gives NaN.
#[test]
fn a_fixed_scale_that_is_missing_or_zero_is_an_error() {
    let top = FixTopModule::new();
    let fix = one(&top.root().sub("conv1"));
    let error = fix.set_config(FixConfig::fixed(8, 0.0), false).unwrap_err().to_string();
    assert_eq!(error, "conv1.activation: scale is [0.0], it must be positive");
    let error = top.set_fix_method(FixMethod::Fixed, Selector::default(), false).unwrap_err().to_string();
    assert!(error.starts_with("conv1.activation: FIX_FIXED without a scale"), "{error}");
    let error = fix.set_config(FixConfig::fixed(8, 0.3), false).unwrap_err().to_string();
    assert!(error.contains("power of two"), "{error}");
}

/// Defect 13: data_only and print truncate fractional scales to integers.
#[test]
fn fractional_scales_are_read_and_printed_whole() {
    let net = Net::new();
    let quarter = BTreeMap::from([("conv.weight".to_owned(), FixConfig::fixed(8, 0.25))]);
    net.top.load_fix_configs(&quarter, false).unwrap();
    assert_eq!(net.top.get_fix_configs(false, true)["conv.weight"].scale, [0.25]);
    let text = net.top.print_fix_configs(false);
    assert!(text.contains("conv.weight: FIX_FIXED, 8 bits, range Max, scale [0.25]\n"), "{text}");
}

/// Defect 14: loaded scales are ignored for parameter modules.
#[test]
fn a_loaded_scale_is_used_for_a_parameter() {
    let net = Net::new();
    let coarse = BTreeMap::from([("conv.weight".to_owned(), FixConfig::fixed(2, 4.0))]);
    net.top.load_fix_configs(&coarse, false).unwrap();
    let fixed = net.top.fix_state_dict().unwrap();
    assert!(values(&fixed["conv.weight"].value).iter().all(|value| [-2.0, 0.0, 2.0].contains(value)));
    assert_eq!(fixed["conv.weight"].config.scale, [4.0]);
    // The float twin stays.
    assert!(values(&net.variables.variables()["conv.weight"]).iter().any(|value| value.fract() != 0.0));
    // All weights are below half a step of 2: the convolution reads zeros.
    let net_out = tch::no_grad(|| net.conv.forward(&input())).unwrap();
    let bias = net.variables.variables()["conv.bias"].view([1, -1, 1, 1]).expand_as(&net_out);
    assert_eq!(values(&net_out), values(&bias));
}

/// Defect 15: set_fix_method by type or by name stops at the first level.
#[test]
fn methods_are_set_by_type_and_by_name_at_every_depth() {
    let net = Net::new();
    let by_type = Selector { module_type: Some("ConvBN_fix"), ..Selector::default() };
    assert_eq!(net.set(FixMethod::Auto, by_type), 2);
    let by_name = Selector { module_name: Some("block"), tensor: Some(TensorKind::Activation), ..Selector::default() };
    assert_eq!(net.set(FixMethod::Auto, by_name), 1);
    let methods: Vec<_> = net
        .top
        .get_fix_configs(false, false)
        .into_iter()
        .filter(|(_, config)| config.method == FixMethod::Auto)
        .collect();
    let names: Vec<&str> = methods.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["block.conv.bias", "block.conv.weight", "block.out.activation"]);
    let nothing = Selector { module_name: Some("bloc"), ..Selector::default() };
    assert!(net.top.set_fix_method(FixMethod::Auto, nothing, false).is_err());
}

/// Defect 16: ConvBN_fix is invisible to get, load and set, and folds the variance divided by one less.
#[test]
fn a_folded_batch_norm_is_configured_and_is_the_batch_norm_behind_its_convolution() {
    let net = Net::new();
    assert!(net.top.get_fix_configs(false, false).contains_key("block.conv.weight"));
    let x = normal(10, &[3, 4, 5, 5]);
    let trained = tch::no_grad(|| net.block.forward(&x, true)).unwrap();
    let weight = &net.variables.variables()["block.conv.weight"];
    let sums = tch::no_grad(|| x.conv2d(weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1));
    let none = None::<Tensor>;
    let expected = sums.batch_norm(none.as_ref(), none.as_ref(), none.as_ref(), none.as_ref(), true, 0.1, 1e-5, false);
    let difference = (trained - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
    let (_, variance) = super::batch_norm::statistics(&sums);
    let running = &net.variables.variables()["block.conv.running_var"];
    let difference = (running - (variance * 0.1 + 0.9)).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
    net.set(FixMethod::Auto, Selector { module_name: Some("block"), ..Selector::default() });
    let fixed = tch::no_grad(|| net.block.forward(&x, false)).unwrap();
    net.set(FixMethod::None, Selector { module_name: Some("block"), ..Selector::default() });
    let float = tch::no_grad(|| net.block.forward(&x, false)).unwrap();
    let error = (&fixed - &float).abs().max().double_value(&[]) / float.abs().max().double_value(&[]);
    assert!(error > 0.0 && error < 0.05, "{error}");
}

/// Defect 17: evaluation overwrites batch-norm statistics with quantized values.
#[test]
fn an_evaluation_leaves_the_running_statistics_alone() {
    let (variables, top) = (nn::VarStore::new(Device::Cpu), FixTopModule::new());
    let norm = BatchNormFix::new(&variables.root(), &top.root(), 2).unwrap();
    top.load_fix_configs(
        &top.get_fix_configs(false, false).into_keys().map(|name| (name, FixConfig::auto(3))).collect(),
        false,
    )
    .unwrap();
    let x = input();
    let _ = tch::no_grad(|| norm.forward(&x, true)).unwrap();
    let names = ["running_mean", "running_var"];
    let before = names.map(|name| values(&variables.variables()[name]));
    let quantized = tch::no_grad(|| norm.forward(&x, false)).unwrap();
    assert_eq!(before, names.map(|name| values(&variables.variables()[name])));
    top.set_fix_method(FixMethod::None, Selector::default(), false).unwrap();
    assert_ne!(values(&quantized), values(&tch::no_grad(|| norm.forward(&x, false)).unwrap()));
}

#[test]
fn a_norm_is_evaluated_with_the_scales_of_its_training() {
    let (variables, top) = (nn::VarStore::new(Device::Cpu), FixTopModule::new());
    let norm = BatchNormFix::new(&variables.root(), &top.root(), 2).unwrap();
    let all = top.get_fix_configs(false, false).into_keys().map(|name| (name, FixConfig::auto(8)));
    top.load_fix_configs(&all.collect(), false).unwrap();
    let _ = tch::no_grad(|| norm.forward(&input(), true)).unwrap();
    let automatic = tch::no_grad(|| norm.forward(&input(), false)).unwrap();
    assert_eq!(top.set_fix_method(FixMethod::Fixed, Selector::default(), false).unwrap(), 4);
    let fixed = tch::no_grad(|| norm.forward(&input(), false)).unwrap();
    assert_eq!(values(&fixed), values(&automatic));
}

/// Defect 20: replicas would quantize with scales of their own.
#[test]
fn replicas_share_one_scale() {
    let top = FixTopModule::new();
    let (first, second) = (one(&top.root()), one(&top.root()));
    first.set_config(FixConfig::auto(8), false).unwrap();
    let _ = first.forward(&Tensor::from_slice(&[3_f32])).unwrap();
    top.set_fix_method(FixMethod::Fixed, Selector::default(), false).unwrap();
    assert_eq!(first.config(false), second.config(false));
    let x = Tensor::from_slice(&[0.11_f32, 2.2]);
    assert_eq!(values(&first.forward(&x).unwrap()), values(&second.forward(&x).unwrap()));
}

#[test]
fn data_and_gradients_are_configured_apart() {
    let net = Net::new();
    let grads = BTreeMap::from([("conv.weight".to_owned(), FixConfig::auto(2))]);
    net.top.load_fix_configs(&grads, true).unwrap();
    assert_eq!(net.top.get_fix_configs(false, false)["conv.weight"].method, FixMethod::None);
    net.forward(&input(), true).unwrap().square().sum(Kind::Float).backward();
    let gradient = values(&net.variables.variables()["conv.weight"].grad());
    let greatest = gradient.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(
        greatest > 0.0 && gradient.iter().all(|value| [0.0, greatest].contains(&value.abs())),
        "two bits are -1, 0, 1"
    );
}

#[test]
fn configs_of_one_forward_pass_are_put_back() {
    let (net, x) = (Net::new(), input());
    net.set(FixMethod::Auto, Selector::default());
    let _ = net.forward(&x, true).unwrap();
    let before = net.top.get_fix_configs(false, false);
    let plain = values(&net.forward(&x, false).unwrap());
    let two_bits = BTreeMap::from([("block.out.activation".to_owned(), FixConfig::fixed(2, 4.0))]);
    let forward = || Ok(values(&net.forward(&x, false)?));
    let overridden = net.top.with_fix_configs(&two_bits, false, forward).unwrap();
    assert!(overridden.iter().all(|value| [-4.0, -2.0, 0.0, 2.0].contains(value)));
    assert_eq!(values(&net.forward(&x, false).unwrap()), plain);
    let after = net.top.get_fix_configs(false, false);
    assert_eq!(before["block.out.activation"].method, after["block.out.activation"].method);
}

#[test]
fn configs_go_through_a_file_with_the_names_of_nics_fix() {
    let text = r#"{"conv.weight": {"method": "FIX_FIXED", "scale": [0.5], "bitwidth": 8, "range_method": "RANGE_3SIGMA", "group": "batch"}}"#;
    let configs: BTreeMap<String, FixConfig> = serde_json::from_str(text).unwrap();
    assert_eq!(configs["conv.weight"].group, FixGroup::Batch);
    let net = Net::new();
    net.top.load_fix_configs(&configs, false).unwrap();
    let back = net.top.get_fix_configs(false, false)["conv.weight"].clone();
    assert_eq!(back, configs["conv.weight"]);
    let unknown = BTreeMap::from([("conv9.weight".to_owned(), FixConfig::auto(8))]);
    let error = net.top.load_fix_configs(&unknown, false).unwrap_err().to_string();
    assert!(error.starts_with("conv9.weight: no tensor"), "{error}");
}

/// A module of one's own in fixed point: the seed's MyBN, registered by asking for quantizers.
#[test]
fn a_module_of_ones_own_is_registered() {
    struct Scale {
        factor: Tensor,
        fix: Fix,
    }
    let (variables, top) = (nn::VarStore::new(Device::Cpu), FixTopModule::new());
    let factor = variables.root().var("factor", &[3], nn::Init::Const(0.3));
    let path = top.root().sub("scale");
    let module = Scale { fix: path.parameter("Scale_fix", TensorKind::Weight, &factor), factor };
    top.set_fix_method(FixMethod::Auto, Selector { module_type: Some("Scale_fix"), ..Selector::default() }, false)
        .unwrap();
    let y = module.fix.forward(&module.factor).unwrap() * 2.0;
    y.sum(Kind::Float).backward();
    assert_eq!(values(&module.factor.grad()), [2.0; 3]);
    // 0.3 in steps of 2^-8: 77.
    assert_eq!(values(&top.fix_state_dict().unwrap()["scale.weight"].value), [77.0 / 256.0; 3]);
}
