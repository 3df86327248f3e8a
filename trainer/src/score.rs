//! How well a network does on the test inputs.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// What the test inputs tell of a network. As a field of JSON its key is `test_` and [`Self::key`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Score {
    /// Percent of the inputs whose greatest output is their class.
    #[serde(rename = "test_accuracy")]
    Accuracy(f64),
    /// Percent of the inputs' variance that their reconstructions have: 100 where every value is right, 0 where each is the mean
    /// of that value over all inputs, less where they are worse.
    #[serde(rename = "test_explained_variance")]
    ExplainedVariance(f64),
    /// Area under the ROC curve of the reconstruction's error, 0 to 1: [`crate::roc::auc`].
    #[serde(rename = "test_auc")]
    Auc(f64),
}

impl Score {
    /// The number alone.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Accuracy(value) | Self::ExplainedVariance(value) | Self::Auc(value) => value,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "accuracy",
            Self::ExplainedVariance(_) => "explained variance",
            Self::Auc(_) => "AUC",
        }
    }

    /// What machines read it by.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "accuracy",
            Self::ExplainedVariance(_) => "explained_variance",
            Self::Auc(_) => "auc",
        }
    }

    /// What its number counts.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Accuracy(_) | Self::ExplainedVariance(_) => "percent",
            Self::Auc(_) => "area",
        }
    }
}

impl Display for Score {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accuracy(percent) | Self::ExplainedVariance(percent) => write!(out, "{percent:.2} %"),
            Self::Auc(area) => write!(out, "{area:.4}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "report")]
    #[test]
    fn a_score_is_written_under_its_own_name() {
        for (score, text, json) in [
            (Score::Accuracy(98.325), "accuracy 98.33 %", r#"{"test_accuracy":98.325}"#),
            (Score::Auc(0.875), "AUC 0.8750", r#"{"test_auc":0.875}"#),
            (Score::ExplainedVariance(87.5), "explained variance 87.50 %", r#"{"test_explained_variance":87.5}"#),
        ] {
            assert_eq!(format!("{} {score}", score.name()), text);
            assert_eq!(serde_json::to_string(&score).unwrap(), json);
            assert!(json.contains(&format!("test_{}\"", score.key())));
            assert_eq!(serde_json::from_str::<Score>(json).unwrap(), score);
        }
    }
}
