use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use tch::Tensor;

use super::config::{FixConfig, FixMethod};
use super::fix::{Fix, TensorKind};

/// The float twin of a parameter.
type Twin = Box<dyn Fn() -> Tensor + Send>;

/// What was registered under one name.
struct Entry {
    fix: Fix,
    kind: TensorKind,
    module: &'static str,
    /// Of a parameter.
    twin: Option<Twin>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("fix", &self.fix).field("kind", &self.kind).finish_non_exhaustive()
    }
}

type Entries = Arc<Mutex<Vec<Entry>>>;

/// Configs of all tensors of a network, nested modules included, by their names.
#[derive(Debug, Clone, Default)]
pub struct FixTopModule {
    entries: Entries,
}

/// A place in a network under which tensors are registered.
#[derive(Debug, Clone)]
pub struct FixPath {
    entries: Entries,
    prefix: String,
}

/// A parameter as it is used: its value in codes times scale, and how it came to be.
#[derive(Debug)]
pub struct FixedTensor {
    /// Quantized value.
    pub value: Tensor,
    /// Its config, scale included.
    pub config: FixConfig,
}

/// Which tensors a method is set of; what is left out is all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selector<'a> {
    /// Name of the module's type, as `Conv2d_fix`.
    pub module_type: Option<&'a str>,
    /// Name of a module; those nested in it are included.
    pub module_name: Option<&'a str>,
    /// What the tensor is to its module.
    pub tensor: Option<TensorKind>,
}

impl FixPath {
    /// A module inside of this one.
    #[must_use]
    pub fn sub(&self, name: &str) -> Self {
        let prefix = if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) };
        Self { entries: Arc::clone(&self.entries), prefix }
    }

    /// Registers a parameter of a module of one's own: a fixed-point version of any module asks for its parameters' quantizers here.
    ///
    /// module     name of the module's type
    /// parameter  its float twin, which stays the trained truth
    pub fn parameter(&self, module: &'static str, kind: TensorKind, parameter: &Tensor) -> Fix {
        let parameter = parameter.shallow_clone();
        self.computed_parameter(module, kind, move || parameter.shallow_clone())
    }

    /// Registers a parameter that is computed of others at every forward pass.
    ///
    /// twin  what it is before it is quantized
    pub fn computed_parameter(
        &self,
        module: &'static str,
        kind: TensorKind,
        twin: impl Fn() -> Tensor + Send + 'static,
    ) -> Fix {
        self.register(module, kind, Some(Box::new(twin)))
    }

    /// Registers what a module computes.
    pub fn activation(&self, module: &'static str) -> Fix {
        self.register(module, TensorKind::Activation, None)
    }

    fn register(&self, module: &'static str, kind: TensorKind, twin: Option<Twin>) -> Fix {
        let name = self.sub(kind.name()).prefix;
        let mut entries = locked(&self.entries);
        // Asking twice is asking for the same tensor: a module that is used twice has one scale.
        if let Some(entry) = entries.iter().find(|entry| entry.fix.name() == name) {
            return entry.fix.clone();
        }
        let fix = Fix::new(&name, kind);
        entries.push(Entry { fix: fix.clone(), kind, module, twin });
        fix
    }
}

fn locked(entries: &Entries) -> MutexGuard<'_, Vec<Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FixTopModule {
    /// A network of which nothing is registered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place under which a network registers its modules.
    #[must_use]
    pub fn root(&self) -> FixPath {
        FixPath { entries: Arc::clone(&self.entries), prefix: String::new() }
    }

    /// Every config by its tensor's name, with the scales that are stored.
    ///
    /// grad       those of gradients
    /// data_only  method and scale alone; the rest is as by default
    #[must_use]
    pub fn get_fix_configs(&self, grad: bool, data_only: bool) -> BTreeMap<String, FixConfig> {
        let config = |entry: &Entry| {
            let config = entry.fix.config(grad);
            let FixConfig { method, scale, bitwidth, float_scale, zero_point, .. } = config.clone();
            let data = FixConfig { method, scale, bitwidth, float_scale, zero_point, ..FixConfig::default() };
            (entry.fix.name().to_owned(), if data_only { data } else { config })
        };
        locked(&self.entries).iter().map(config).collect()
    }

    /// Takes configs over, by their tensors' names; tensors that are not named keep theirs.
    ///
    /// # Errors
    /// Names a tensor that is not registered or a value that cannot be; nothing is changed then.
    pub fn load_fix_configs(&self, configs: &BTreeMap<String, FixConfig>, grad: bool) -> Result<()> {
        let entries = locked(&self.entries);
        let mut found = Vec::new();
        for (name, config) in configs {
            config.check(name)?;
            let entry = entries.iter().find(|entry| entry.fix.name() == name);
            found.push((entry.with_context(|| format!("{name}: no tensor of this name is registered"))?, config));
        }
        found.into_iter().try_for_each(|(entry, config)| entry.fix.set_config(config.clone(), grad))
    }

    /// A line a tensor.
    #[must_use]
    pub fn print_fix_configs(&self, grad: bool) -> String {
        let lines = self.get_fix_configs(grad, false).into_iter().map(|(name, config)| format!("{name}: {config}\n"));
        lines.collect()
    }

    /// Sets the method of the selected tensors, nested ones included, whose configs otherwise stay.
    ///
    /// # Errors
    /// Where nothing is selected, or `FIX_FIXED` is set of a tensor without a scale.
    pub fn set_fix_method(&self, method: FixMethod, selector: Selector<'_>, grad: bool) -> Result<usize> {
        let entries = locked(&self.entries);
        let selected: Vec<&Entry> = entries.iter().filter(|entry| selector.selects(entry)).collect();
        ensure!(!selected.is_empty(), "{selector:?} selects no tensor");
        for entry in &selected {
            let config = FixConfig { method, ..entry.fix.config(grad) };
            config.check(entry.fix.name())?;
        }
        selected.iter().for_each(|entry| entry.fix.slot(grad).set_method(method));
        Ok(selected.len())
    }

    /// Every parameter as it is used, by its name.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn fix_state_dict(&self) -> Result<BTreeMap<String, FixedTensor>> {
        let entries = locked(&self.entries);
        let parameters = entries.iter().filter_map(|entry| Some((entry, entry.twin.as_ref()?)));
        let fixed = parameters.map(|(entry, twin)| {
            let slot = entry.fix.slot(false);
            let value = tch::no_grad(|| slot.value(&twin()))?;
            Ok((entry.fix.name().to_owned(), FixedTensor { value, config: slot.current() }))
        });
        fixed.collect()
    }

    /// Runs a forward pass with other configs of some tensors, and puts theirs back with their scales. Configs of gradients are read by
    /// the backward pass, which must be part of `forward` then.
    ///
    /// # Errors
    /// Those of [`Self::load_fix_configs`] and of the forward pass.
    pub fn with_fix_configs<T>(
        &self,
        configs: &BTreeMap<String, FixConfig>,
        grad: bool,
        forward: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let overridden = || -> Vec<Fix> {
            let entries = locked(&self.entries);
            entries
                .iter()
                .filter(|entry| configs.contains_key(entry.fix.name()))
                .map(|entry| entry.fix.clone())
                .collect()
        };
        let before: Vec<_> = overridden()
            .into_iter()
            .map(|fix| {
                let slot = fix.slot(grad).take();
                (slot, fix)
            })
            .collect();
        let result = self.load_fix_configs(configs, grad).and_then(|()| forward());
        before.into_iter().for_each(|(slot, fix)| *fix.slot(grad) = slot);
        result
    }
}

impl Selector<'_> {
    fn selects(&self, entry: &Entry) -> bool {
        let inside = |module: &str| {
            entry.fix.name().strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.module_type.is_none_or(|module| module == entry.module)
            && self.module_name.is_none_or(inside)
            && self.tensor.is_none_or(|kind| kind == entry.kind)
    }
}
