//! What programs around a model print of it, for `xtask` to read: lines of a word and its values.

use cortex_m::peripheral::SYST;
use stepshift_runtime::format::Links;
use stepshift_runtime::{ModelHandle, SelfTestError, Session};

use crate::console::line;
use crate::counter::Counter;

/// Replays the certificate as real firmware does when it starts; nothing for a model without one.
///
/// # Errors
/// Where a node gives other bits, which is printed.
pub fn self_test<'m, const LINKS: Links, M: ModelHandle<'m, LINKS>>(
    session: &mut Session<'m, '_, LINKS, M>,
) -> Result<(), &'static str> {
    match session.self_test() {
        Ok(()) => line(&["self-test passed".into()]),
        Err(SelfTestError::NoCertificate) => {}
        Err(SelfTestError::Differs { node }) => {
            line(&["differs".into(), 0_u32.into(), u32::from(node).into()]);
            return Err("the self-test failed");
        }
        Err(_) => return Err("the self-test failed"),
    }
    Ok(())
}

/// Counts the instructions of one inference, node by node, on the input that is there.
///
/// # Errors
/// Where the clock does not count instructions.
pub fn count<'m, const NODES: usize, const LINKS: Links, M: ModelHandle<'m, LINKS>>(
    session: &mut Session<'m, '_, LINKS, M>,
    systick: SYST,
) -> Result<(), &'static str> {
    let counter = Counter::new(systick).map_err(|_| "the clock does not count instructions")?;
    let mut instructions = [0; NODES];
    session.run_profiled(
        || counter.clock(),
        |index, elapsed| {
            if let Some(count) = instructions.get_mut(index) {
                *count += counter.instructions_of(elapsed);
            }
        },
    );
    for (node, count) in session.model().nodes().zip(instructions) {
        line(&["node".into(), node.name.as_str().into(), count.into()]);
    }
    Ok(())
}
