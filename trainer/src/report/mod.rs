//! What a run leaves to look at: `metrics.csv`, `layers.csv`, TensorBoard's event files, and one page, `report.html`.
//!
//! - [`observation`]: what the loop records of every pass, kept in the run's folder.
//! - [`tensorboard`]: event files.
//! - [`html`] with [`plot`]: the page.

mod axis;
pub mod html;
pub mod observation;
pub mod plot;
pub mod tensorboard;

pub use observation::{Histogram, LayerObservation, Observation};
