//! Classes that are anomalies: nothing is learned from them, and the test tells them from the others.

use super::{DataError, Dataset};

/// The key of a config that names them.
const KEY: &str = "anomalies";

/// Names of classes, or their numbers where a data set has no names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anomalies<'a>(pub &'a [String]);

impl Anomalies<'_> {
    /// True of a class's name.
    pub(super) fn contains(self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }

    /// Refuses names that no class has.
    ///
    /// names  those of all classes, with or without training inputs
    pub(super) fn check(self, names: &[String]) -> Result<(), DataError> {
        let refuse = |what: String| Err(DataError::option(KEY, what));
        if let Some(unknown) = self.0.iter().find(|own| !names.contains(own)) {
            return refuse(format!("{unknown:?} is no class of the data set, there are {names:?}"));
        }
        if let Some(index) = (0..self.0.len()).find(|index| self.0[..*index].contains(&self.0[*index])) {
            return refuse(format!("{:?} is named twice", self.0[index]));
        }
        if names.iter().all(|name| self.contains(name)) {
            return refuse(format!("all classes are named, one at least must be normal: {names:?}"));
        }
        Ok(())
    }

    /// The data set without the anomalies among its training inputs.
    pub(super) fn of(self, mut data: Dataset) -> Result<Dataset, DataError> {
        if self.0.is_empty() {
            return Ok(data);
        }
        let names = names(&data.class_names, data.classes);
        self.check(&names)?;
        let label = |own: &String| names.iter().position(|name| name == own).map(|label| label as u8);
        data.anomalies = self.0.iter().filter_map(label).collect();
        let is_normal = |label: u8| !data.anomalies.contains(&label);
        data.train = data.train.of_labels(is_normal);
        if data.train.is_empty() {
            return Err(DataError::option(KEY, "no training input is of another class"));
        }
        for (kind, wanted) in [("normal input", false), ("anomaly", true)] {
            let is_missing = !data.test.labels().iter().any(|label| is_normal(*label) != wanted);
            if is_missing {
                return Err(DataError::option(KEY, format!("there is no {kind} among the test inputs")));
            }
        }
        Ok(data)
    }
}

/// Names of classes; their numbers where they have none.
pub(super) fn names(names: &[String], classes: usize) -> Vec<String> {
    if names.is_empty() { (0..classes).map(|class| class.to_string()).collect() } else { names.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::super::digits;
    use super::*;

    fn of(names: &[&str], change: impl Fn(&mut Dataset)) -> Result<Dataset, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut data = digits::load().unwrap();
        change(&mut data);
        Anomalies(&names).of(data).map_err(|error| error.to_string())
    }

    #[test]
    fn training_inputs_are_normal_ones_and_test_inputs_are_all() {
        let whole = digits::load().unwrap();
        for names_too in [true, false] {
            let data = of(&["8", "3"], |data| {
                if !names_too {
                    data.class_names.clear()
                }
            })
            .unwrap();
            assert_eq!((data.anomalies.as_slice(), data.classes), (&[8, 3][..], 10));
            let kept: Vec<usize> =
                (0..whole.train.len()).filter(|index| ![8, 3].contains(&whole.train.labels()[*index])).collect();
            assert!(data.train.labels().iter().eq(kept.iter().map(|index| &whole.train.labels()[*index])));
            assert_eq!(data.train.range(0..kept.len()).unwrap(), whole.train.read(&kept).unwrap());
            assert_eq!(data.test.labels(), whole.test.labels());
        }
        assert_eq!(of(&[], |_| ()).unwrap().train.len(), whole.train.len());
    }

    #[test]
    fn names_that_no_class_has_are_told_which_there_are() {
        let error = |names: &[&str]| of(names, |_| ()).unwrap_err();
        let all = r#"["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]"#;
        assert_eq!(
            error(&["3", "three"]),
            format!("anomalies: \"three\" is no class of the data set, there are {all}")
        );
        assert_eq!(error(&["3", "4", "3"]), "anomalies: \"3\" is named twice");
        let every = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        assert_eq!(error(&every), format!("anomalies: all classes are named, one at least must be normal: {all}"));
        let without = |label: u8| move |data: &mut Dataset| data.test = data.test.of_labels(|own| own != label);
        assert_eq!(of(&["3"], without(3)).unwrap_err(), "anomalies: there is no anomaly among the test inputs");
        let only = |data: &mut Dataset| data.train = data.train.of_labels(|own| own == 3);
        assert_eq!(of(&["3"], only).unwrap_err(), "anomalies: no training input is of another class");
    }
}
