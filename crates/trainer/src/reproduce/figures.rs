//! The figures of one row.

use crate::batch::mean_and_deviation;
use crate::evaluation::Evaluation;
use crate::network::CLASSES;
use crate::recipe::{Mistakes, Recipe, Reported};
use crate::summary::Summary;
use serde::{Deserialize, Serialize};

/// One system: what was reported and what came of it here. Accuracies are in percent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// `R1` to `R5`.
    pub report: String,
    /// What the system is.
    pub description: String,
    /// What the report does not say.
    pub assumptions: Vec<String>,
    /// What experiments told about the reported figures.
    #[serde(default)]
    pub findings: Vec<String>,
    /// What it says.
    pub reported: Reported,
    /// The dataset.
    pub dataset: String,
    /// Share of the report's epochs that were trained.
    pub epochs_scale: f64,
    /// Epochs of the report's recipe.
    pub epochs: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// Values in the network, running statistics included.
    pub parameters: usize,
    /// On the training images during the last epoch.
    pub train: Option<Spread>,
    /// On the validation images.
    pub validation: Option<Spread>,
    /// On the same, moved at random as in training.
    pub validation_augmented: Option<Spread>,
    /// On the validation images in the best epoch.
    pub best_validation: Option<Spread>,
    /// The best epochs, seed by seed.
    pub best_epochs: Vec<u64>,
    /// On the test images.
    pub test: Option<Spread>,
    /// Loss on the training images during the last epoch, not in percent.
    pub train_loss: Option<Spread>,
    /// Loss on the test images, not in percent.
    pub test_loss: Option<Spread>,
    /// On the test images of each class.
    pub per_class: Vec<Option<Spread>>,
    /// Test images by predicted class (rows) and true class (columns), summed over the seeds.
    pub confusion: Vec<Vec<u64>>,
    /// The reported claims about mistakes, with the share found here.
    pub mistakes: Vec<Claim>,
    /// Wall time of a run from start to end.
    pub wall_seconds: Option<Spread>,
    /// Device time of the training steps of a run: that of one profiled step times their number.
    pub device_seconds: Option<f64>,
}

/// A mean, and a standard deviation if there is more than one seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Over the seeds.
    pub mean: f64,
    /// Of a sample.
    pub deviation: Option<f64>,
}

/// A reported claim about mistakes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// As reported.
    pub reported: Mistakes,
    /// The share here in percent; `None` if there is no such mistake.
    pub ours: Option<f64>,
}

impl Spread {
    /// Of these numbers.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        mean_and_deviation(&values).map(|(mean, deviation)| Self { mean, deviation })
    }
}

impl Row {
    /// From finished runs, one at least, that differ in the seed alone. `step` is the device time of a step.
    pub fn new(report: &str, recipe: &Recipe, epochs_scale: f64, runs: &[&Summary], step: Option<f64>) -> Self {
        let accuracy = |figures: fn(&Summary) -> Option<&Evaluation>| {
            Spread::of(runs.iter().filter_map(|run| figures(run)).map(|figures| 100.0 * figures.accuracy))
        };
        let per_class = |class: usize| {
            let shares = runs.iter().filter_map(|run| run.test.per_class_accuracy[class]);
            Spread::of(shares.map(|share| 100.0 * share))
        };
        let mut confusion = vec![vec![0; CLASSES]; CLASSES];
        for run in runs {
            for (class, row) in run.test.confusion.iter().enumerate() {
                for (predicted, count) in row.iter().enumerate() {
                    confusion[predicted][class] += count;
                }
            }
        }
        let claim = |claim: &Mistakes| Claim { reported: claim.clone(), ours: share(&confusion, claim) };
        let mistakes = recipe.reported.mistakes.iter().map(claim).collect();
        let validated = |run: &&&Summary| run.validation.is_some();
        let best = runs.iter().filter(validated).filter_map(|run| run.best);
        let steps = runs.first().map_or(0, |run| run.steps);
        Self {
            report: report.to_owned(),
            description: recipe.description.clone(),
            assumptions: recipe.assumptions.clone(),
            findings: recipe.findings.clone(),
            reported: recipe.reported.clone(),
            dataset: runs.first().map(|run| run.dataset.clone()).unwrap_or_default(),
            epochs_scale,
            epochs: recipe.train.epochs,
            steps,
            seeds: runs.iter().map(|run| run.seed).collect(),
            parameters: runs.first().map_or(0, |run| run.parameters),
            train: Spread::of(runs.iter().filter_map(|run| run.train).map(|scores| 100.0 * scores.accuracy)),
            validation: accuracy(|run| run.validation.as_ref()),
            validation_augmented: accuracy(|run| run.validation_augmented.as_ref()),
            best_validation: Spread::of(best.clone().map(|best| 100.0 * best.scores.accuracy)),
            best_epochs: best.map(|best| best.epoch).collect(),
            test: accuracy(|run| Some(&run.test)),
            train_loss: Spread::of(runs.iter().filter_map(|run| run.train).map(|scores| scores.loss)),
            test_loss: Spread::of(runs.iter().map(|run| run.test.loss)),
            per_class: (0..CLASSES).map(per_class).collect(),
            confusion,
            mistakes,
            wall_seconds: Spread::of(runs.iter().map(|run| run.seconds.total)),
            device_seconds: step.map(|step| step * steps as f64),
        }
    }
}

/// The share of a class's wrong predictions that are as claimed, in percent.
fn share(confusion: &[Vec<u64>], claim: &Mistakes) -> Option<f64> {
    let count = |predicted: usize| confusion.get(predicted).and_then(|row| row.get(claim.class)).copied().unwrap_or(0);
    let wrong: u64 = (0..CLASSES).filter(|&predicted| predicted != claim.class).map(count).sum();
    let claimed: u64 = claim.to.iter().map(|&predicted| count(predicted)).sum();
    (wrong > 0).then(|| 100.0 * claimed as f64 / wrong as f64)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::evaluation::Tally;
    use crate::metrics::Scores;
    use crate::train::Best;

    /// A run in which 6 of 10 Shirts are told, and of the others 3 taken for T-shirts and 1 for a Bag.
    pub fn summary(seed: u64) -> Summary {
        let mut tally = Tally::default();
        for (predicted, times) in [(6, 6 + seed), (0, 3), (8, 1)] {
            for _ in 0..times {
                tally.count(6, predicted);
            }
        }
        let best = Best { epoch: 4 + seed, steps: 9, scores: Scores { loss: 0.5, accuracy: 0.75 } };
        Summary {
            seed,
            precision: crate::recipe::Precision::F32,
            loss_scale: None,
            test: tally.finish(),
            validation: Some(tally.finish()),
            best: Some(best),
            train: Some(best.scores),
            steps: 100,
            ..crate::summary::tests::summary()
        }
    }

    #[test]
    fn rows_are_means_over_seeds() {
        let recipe = Recipe::find("r1-k2-d10-bn").unwrap();
        let runs = [summary(0), summary(1)];
        let row = Row::new("R1", &recipe, 0.5, &runs.iter().collect::<Vec<_>>(), Some(0.25));
        let test = row.test.unwrap();
        let expected = 100.0 * (6.0 / 10.0 + 7.0 / 11.0) / 2.0;
        assert!((test.mean - expected).abs() < 1e-9 && test.deviation.unwrap() > 0.0, "{test:?}");
        assert_eq!(row.per_class[6], row.test);
        assert_eq!(row.per_class[0], None);
        assert_eq!(row.best_epochs, [4, 5]);
        assert_eq!((row.seeds.as_slice(), row.device_seconds), ([0, 1].as_slice(), Some(25.0)));
        // Predicted, then true; summed over both.
        assert_eq!((row.confusion[0][6], row.confusion[6][0], row.confusion[6][6]), (6, 0, 13));
        // Of 8 wrong Shirts 6 went to T-shirts or Pullovers, and no Coat was seen.
        assert_eq!(row.mistakes.iter().map(|claim| claim.ours).collect::<Vec<_>>(), [Some(75.0), None]);
        let text = serde_json::to_string(&row).unwrap();
        let again: Row = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
}
