//! `trainer list`.

use crate::network::{Network, thousands};
use crate::recipe::{BUILT_IN, Recipe, RecipeError};
use serde_json::json;

/// The built-in recipes, by report, as a table or as JSON.
pub fn list(as_json: bool) -> Result<String, RecipeError> {
    let mut table = format!("{:<24} {:>10} {:>7} {:>7}  description\n", "recipe", "parameters", "epochs", "test %");
    let mut entries = Vec::new();
    let mut report = "";
    for built_in in BUILT_IN {
        let Recipe { name, description, source, assumptions, findings, train, reported, layers, .. } =
            Recipe::built_in(built_in)?;
        let network = Network::new(&layers, train.batch_size)
            .map_err(|error| RecipeError::Network { place: None, error: Box::new(error) })?;
        let parameters = network.parameter_count();
        if built_in.report != report {
            report = built_in.report;
            table += &format!("{}\n", title(&source));
        }
        // Where a report validates on the test images, that is its test figure.
        let figures = if reported.test.is_empty() { &reported.validation } else { &reported.test };
        let figure = figures.first().map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
        let count = thousands(parameters);
        table += &format!("  {name:<22} {count:>10} {:>7} {figure:>7}  {description}\n", train.epochs);
        entries.push(json!({
            "name": name,
            "report": built_in.report,
            "description": description,
            "source": source,
            "assumptions": assumptions,
            "findings": findings,
            "parameters": parameters,
            "trainable_parameters": network.trainable_count(),
            "epochs": train.epochs,
            "batch_size": train.batch_size,
            "reported": reported,
        }));
    }
    table += "test %: as reported; in R3 on test images that were also validated on\n";
    Ok(if as_json { format!("{:#}\n", serde_json::Value::from(entries)) } else { table })
}

/// The report, without what the source says about the one system.
fn title(source: &str) -> &str {
    source.split_once(": ").map_or(source, |(title, _)| title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_every_recipe() {
        let table = list(false).unwrap();
        let json: serde_json::Value = serde_json::from_str(&list(true).unwrap()).unwrap();
        for (index, built_in) in BUILT_IN.iter().enumerate() {
            assert!(table.lines().any(|line| line.trim_start().split(' ').next() == Some(built_in.name)), "{table}");
            assert_eq!(json[index]["name"], built_in.name);
        }
        assert!(table.contains("  lenet5                    136,586      20   92.11  LeNet-5"), "{table}");
        assert_eq!(table.lines().filter(|line| line.starts_with('R')).count(), 5, "{table}");
    }
}
