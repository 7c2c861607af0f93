//! `trainer list`.

use crate::network::{Network, thousands};
use crate::recipe::{BUILT_IN, Recipe, RecipeError};
use serde_json::json;

/// The built-in recipes, as a table or as JSON.
pub fn list(as_json: bool) -> Result<String, RecipeError> {
    let recipes = BUILT_IN.iter().map(Recipe::built_in).collect::<Result<Vec<_>, _>>()?;
    let mut table = format!("{:<10} {:>10}  description\n", "recipe", "parameters");
    let mut entries = Vec::new();
    for Recipe { name, description, source, assumptions, train, layers, .. } in &recipes {
        let network = Network::new(layers, train.batch_size)
            .map_err(|error| RecipeError::Network { place: None, error: Box::new(error) })?;
        let parameters = network.parameter_count();
        table += &format!("{name:<10} {:>10}  {description}\n", thousands(parameters));
        entries.push(json!({
            "name": name,
            "description": description,
            "source": source,
            "assumptions": assumptions,
            "parameters": parameters,
            "epochs": train.epochs,
            "batch_size": train.batch_size,
        }));
    }
    Ok(if as_json { format!("{:#}\n", serde_json::Value::from(entries)) } else { table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_every_recipe() {
        let table = list(false).unwrap();
        let json: serde_json::Value = serde_json::from_str(&list(true).unwrap()).unwrap();
        for (index, built_in) in BUILT_IN.iter().enumerate() {
            assert!(table.lines().nth(index + 1).unwrap().starts_with(built_in.name));
            assert_eq!(json[index]["name"], built_in.name);
        }
        assert_eq!(json[0]["parameters"], 136_586);
        assert!(table.contains("lenet5        136,586  LeNet-5"), "{table}");
    }
}
