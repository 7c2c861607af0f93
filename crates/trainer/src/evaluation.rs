//! How a trained network does on a set of images.

use crate::network::CLASSES;
use serde::{Deserialize, Serialize};

/// Predictions counted by true class (rows) and predicted class (columns), and the summed loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    confusion: [[u64; CLASSES]; CLASSES],
    loss: f64,
}

impl Tally {
    /// Counts one image. Classes past the last are a caller's mistake and are not counted.
    pub fn count(&mut self, class: usize, predicted: usize) {
        if let Some(cell) = self.confusion.get_mut(class).and_then(|row| row.get_mut(predicted)) {
            *cell += 1;
        }
    }

    /// Adds the summed (not mean) loss of some images.
    pub fn add_loss(&mut self, sum: f64) {
        self.loss += sum;
    }

    /// The figures.
    pub fn finish(&self) -> Evaluation {
        let correct: u64 = (0..CLASSES).map(|class| self.confusion[class][class]).sum();
        let images: u64 = self.confusion.iter().flatten().sum();
        let share = |part: u64, all: u64| part as f64 / all as f64;
        let per_class = |class: usize| {
            let all: u64 = self.confusion[class].iter().sum();
            (all > 0).then(|| share(self.confusion[class][class], all))
        };
        Evaluation {
            images,
            accuracy: if images == 0 { 0.0 } else { share(correct, images) },
            loss: if images == 0 { 0.0 } else { self.loss / images as f64 },
            per_class_accuracy: std::array::from_fn(per_class),
            confusion: self.confusion,
        }
    }
}

/// The figures on a set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many.
    pub images: u64,
    /// Share of correct predictions, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of correct predictions among the images of each class; `None` where there are none.
    pub per_class_accuracy: [Option<f64>; CLASSES],
    /// Row: true class. Column: predicted class.
    pub confusion: [[u64; CLASSES]; CLASSES],
}

impl Evaluation {
    /// Accuracy per class and the confusion matrix, as a table. `names` are the classes.
    pub fn table(&self, names: &[&str; CLASSES]) -> String {
        let mut text = format!("{:<12} {:>9}   predicted as 0 to 9\n", "class", "accuracy");
        for ((name, accuracy), row) in names.iter().zip(self.per_class_accuracy).zip(&self.confusion) {
            let accuracy = accuracy.map_or_else(|| "-".to_owned(), percent);
            text += &format!("{name:<12} {accuracy:>9}  ");
            for count in row {
                text += &format!(" {count:>5}");
            }
            text.push('\n');
        }
        text
    }
}

/// 0.9211 as `92.11 %`.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_true_and_columns_predicted() {
        let mut tally = Tally::default();
        for (class, predicted) in [(0, 0), (0, 6), (0, 6), (0, 0), (6, 6), (9, 12), (10, 0)] {
            tally.count(class, predicted);
        }
        tally.add_loss(2.0);
        tally.add_loss(3.0);
        let evaluation = tally.finish();
        assert_eq!(evaluation.images, 5);
        assert_eq!((evaluation.accuracy, evaluation.loss), (0.6, 1.0));
        assert_eq!((evaluation.confusion[0][6], evaluation.confusion[6][0]), (2, 0));
        assert_eq!(evaluation.per_class_accuracy[..2], [Some(0.5), None]);
        assert_eq!(evaluation.per_class_accuracy[6], Some(1.0));
        let names = ["T-shirt/top", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let table = evaluation.table(&names);
        let row = "T-shirt/top    50.00 %       2     0     0     0     0     0     2     0     0     0\n";
        assert!(table.contains(row), "{table}");
        assert_eq!(table.lines().count(), 11);
    }

    #[test]
    fn nothing_seen_is_not_an_error() {
        let evaluation = Tally::default().finish();
        assert_eq!((evaluation.images, evaluation.accuracy, evaluation.loss), (0, 0.0, 0.0));
    }
}
