//! The table for people.

use super::figures::{Row, Spread};
use super::{Results, duration};
use crate::network::thousands;
use crate::recipe::BUILT_IN;
use fashion_mnist::CLASSES;

/// The whole page.
pub fn page(results: &Results) -> String {
    let adapter = &results.adapter;
    let mut text = format!(
        "# The reports' figures on {}\n\n\
         Written by `trainer reproduce`. Adapter: {} ({}, {}), driver {}.\n\
         Accuracies in percent; ours as mean ± standard deviation over the seeds; both numbers where a report\n\
         contradicts itself. \"Epochs\" are those trained of those reported: a row that trains less than all of them is\n\
         scaled down and says nothing about whether the reported figure can be reached. In R3, validation is on the\n\
         test images; where they are augmented, the figure on clean ones is given beside it.\n\n",
        adapter.name, adapter.name, adapter.device_type, adapter.backend, adapter.driver
    );
    text += &table(results);
    text += "\n## Row by row\n";
    for (name, row) in ordered(results) {
        text += &section(name, row);
    }
    text
}

/// One line to a figure that was reported, or to the test accuracy where none was.
pub fn table(results: &Results) -> String {
    let mut text = "| row | figure | reported | ours | difference | epochs | seeds | best epoch | wall | device |\n\
                    |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (name, row) in ordered(results) {
        for (index, (figure, reported, ours, digits)) in comparisons(row).into_iter().enumerate() {
            let head = if index == 0 { lead(name, row) } else { [const { String::new() }; 6] };
            let [name, epochs, seeds, best, wall, device] = head;
            text += &format!(
                "| {name} | {figure} | {} | {} | {} | {epochs} | {seeds} | {best} | {wall} | {device} |\n",
                numbers(reported, digits),
                spread(ours, digits),
                difference(reported, ours, digits)
            );
        }
    }
    text
}

/// In the order of `trainer list`.
fn ordered(results: &Results) -> Vec<(&str, &Row)> {
    BUILT_IN.iter().filter_map(|built_in| results.rows.get(built_in.name).map(|row| (built_in.name, row))).collect()
}

/// Name, epochs, seeds, best epochs, wall and device time.
fn lead(name: &str, row: &Row) -> [String; 6] {
    let epochs = if row.epochs_scale == 1.0 {
        row.epochs.to_string()
    } else {
        format!("**{:.2}** of {}", row.epochs as f64 * row.epochs_scale, row.epochs)
    };
    let seeds = row.seeds.len().to_string();
    let best: Vec<String> = row.best_epochs.iter().map(u64::to_string).collect();
    let best = if best.is_empty() { "-".to_owned() } else { best.join(", ") };
    let synthetic = if row.dataset == "fashion-mnist" { "" } else { " (synthetic data)" };
    [
        format!("`{name}`{synthetic}"),
        epochs,
        seeds,
        best,
        row.wall_seconds.map_or_else(|| "-".to_owned(), |wall| duration(wall.mean)),
        row.device_seconds.map_or_else(|| "-".to_owned(), duration),
    ]
}

/// Name, reported, ours, digits.
fn comparisons(row: &Row) -> Vec<(&'static str, &[f64], Option<Spread>, usize)> {
    let reported = &row.reported;
    // What a report validates on, it augments as in training.
    let validation = row.validation_augmented.or(row.validation);
    let mut all: Vec<(&str, &[f64], Option<Spread>, usize)> = vec![("test", &reported.test, row.test, 2)];
    if reported.test.is_empty() && !reported.validation.is_empty() {
        all.clear();
    }
    let augmented = row.validation_augmented.is_some();
    for (name, reported, ours, digits) in [
        (if augmented { "validation, augmented" } else { "validation" }, &reported.validation, validation, 2),
        ("best validation", &reported.best_validation, row.best_validation, 2),
        ("train", &reported.train, row.train, 2),
        ("test loss", &reported.test_loss, row.test_loss, 4),
        ("train loss", &reported.train_loss, row.train_loss, 4),
    ] {
        if !reported.is_empty() {
            all.push((name, reported, ours, digits));
        }
    }
    if augmented {
        all.push(("validation, clean", &[], row.validation, 2));
    }
    all
}

fn numbers(numbers: &[f64], digits: usize) -> String {
    if numbers.is_empty() {
        return "-".to_owned();
    }
    numbers.iter().map(|number| format!("{number:.digits$}")).collect::<Vec<_>>().join(" / ")
}

fn spread(spread: Option<Spread>, digits: usize) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { mean, deviation: None }) => format!("{mean:.digits$}"),
        Some(Spread { mean, deviation: Some(deviation) }) => format!("{mean:.digits$} ± {deviation:.digits$}"),
    }
}

fn difference(reported: &[f64], ours: Option<Spread>, digits: usize) -> String {
    let Some(Spread { mean, .. }) = ours else { return "-".to_owned() };
    let differences: Vec<String> = reported.iter().map(|number| format!("{:+.digits$}", mean - number)).collect();
    if differences.is_empty() { "-".to_owned() } else { differences.join(" / ") }
}

fn section(name: &str, row: &Row) -> String {
    let mut text = format!(
        "\n### {name}\n\n{}: {}. {} parameters. Dataset {}, {} steps, seeds {}.\n",
        row.report,
        row.description,
        thousands(row.parameters),
        row.dataset,
        thousands(row.steps as usize),
        row.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    );
    if !row.assumptions.is_empty() {
        text += &format!("Assumed: {}.\n", row.assumptions.join("; "));
    }
    for finding in &row.findings {
        text += &format!("\n> {finding}\n");
    }
    text += "\n| class | reported | ours | difference |\n|---|--:|--:|--:|\n";
    for (class, ours) in row.per_class.iter().enumerate() {
        let counted = row.reported.correct.iter().find(|correct| correct.class == class);
        let own = row.reported.confusion.get(class).and_then(|row| row.get(class));
        let reported: Vec<f64> = (row.reported.per_class.get(class).copied())
            // Each class has 1,000 test images.
            .or(counted.map(|correct| correct.images as f64 / 10.0))
            .or(own.map(|&images| images as f64 / 10.0))
            .into_iter()
            .collect();
        text += &format!(
            "| {} | {} | {} | {} |\n",
            CLASSES[class],
            numbers(&reported, 2),
            spread(*ours, 2),
            difference(&reported, *ours, 2)
        );
    }
    for claim in &row.mistakes {
        let to: Vec<&str> = claim.reported.to.iter().map(|&class| CLASSES[class]).collect();
        let ours =
            claim.ours.map_or_else(|| "not known, as there was none".to_owned(), |share| format!("{share:.0} %"));
        text += &format!(
            "\nOf the images of class {} that were told wrongly, {:.0} % went to {} as reported; here {ours}.\n",
            CLASSES[claim.reported.class],
            claim.reported.share,
            to.join(" or "),
        );
    }
    if row.reported.confusion.is_empty() {
        text += "\n<details><summary>Confusion matrix</summary>\n\nRows: predicted. Columns: true. All seeds.\n\n";
        text += &matrix(&row.confusion);
    } else {
        text += "\n<details><summary>Confusion matrices</summary>\n\nRows: predicted. Columns: true. As reported:\n\n";
        text += &matrix(&row.reported.confusion);
        text += "\nHere, all seeds:\n\n";
        text += &matrix(&row.confusion);
    }
    text + "\n</details>\n"
}

fn matrix(counts: &[Vec<u64>]) -> String {
    let mut text = "```\n".to_owned();
    for row in counts {
        let row: Vec<String> = row.iter().map(|count| format!("{count:>6}")).collect();
        text += &format!("{}\n", row.join(""));
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::summary;
    use super::*;
    use crate::recipe::Recipe;

    fn results(scale: f64) -> Results {
        let rows = ["r1-k2-d10-bn", "depth2", "r4-baseline"].map(|name| {
            let recipe = Recipe::find(name).unwrap();
            let runs = [summary(0), summary(1)];
            (name.to_owned(), Row::new("R?", &recipe, scale, &runs.iter().collect::<Vec<_>>(), Some(0.25)))
        });
        Results { adapter: summary(0).adapter, rows: rows.into_iter().collect() }
    }

    #[test]
    fn ours_stand_beside_what_was_reported() {
        let text = table(&results(1.0));
        let test = "| `depth2` (synthetic data) | test | 92.23 / 92.31 | 61.82 ± 2.57 | -30.41 / -30.49 | 20 | 2 | 4, 5 | 2.0 s | 25.0 s |";
        assert!(text.contains(test), "{text}");
        assert!(text.contains("|  | best validation | 92.88 | 75.00 ± 0.00 | -17.88 |  |"), "{text}");
        assert!(text.contains("|  | train loss | 0.8106 | 0.5000 ± 0.0000 | -0.3106 |"), "{text}");
        assert!(text.find("`r1-k2").unwrap() < text.find("`depth2`").unwrap(), "{text}");
    }

    #[test]
    fn what_is_scaled_down_says_so() {
        assert!(table(&results(0.05)).contains("| **1.00** of 20 | 2 |"));
        assert!(!table(&results(1.0)).contains("**"));
    }

    #[test]
    fn claims_and_matrices_are_in_the_page() {
        let page = page(&results(1.0));
        assert!(page.contains("Of the images of class Shirt that were told wrongly, 62 % went to T-shirt/top or Pullover as reported; here 75 %."), "{page}");
        assert!(page.contains("   721    19    12   116    10     0   200     0     0     0\n"), "{page}");
        assert!(page.contains("Assumed: initialisation not stated: PyTorch's default."), "{page}");
        assert!(page.contains("| Shirt | 21.20 | 61.82 ± 2.57 | +40.62 |"), "{page}");
    }
}
