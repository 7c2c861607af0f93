//! What `cargo bench` times: the layers of the Fashion-MNIST networks, at the batch sizes of their recipes.

use trainer::bench::layers::{self, Problem};
use trainer::recipe::{BUILT_IN, Recipe};

/// The variable that chooses the networks: names of recipes with commas between, or `all`.
pub const VARIABLE: &str = "SELVEDGE_BENCH";

/// The networks timed unless others are chosen: few enough for a quarter of an hour on a software adapter.
pub const USUAL: [&str; 3] = ["lenet5", "depth2", "depth3"];

/// The recipes that the variable names.
///
/// # Errors
///
/// A name that is no built-in recipe's.
pub fn recipes() -> anyhow::Result<Vec<Recipe>> {
    let names = std::env::var(VARIABLE).unwrap_or_else(|_| USUAL.join(","));
    match names.as_str() {
        "all" => Ok(BUILT_IN.iter().map(Recipe::built_in).collect::<Result<_, _>>()?),
        names => Ok(names.split(',').map(|name| Recipe::find(name.trim())).collect::<Result<_, _>>()?),
    }
}

/// Their layers, and the first layer of every kind that only other networks have, or that is fused.
///
/// # Errors
///
/// A network that cannot be: a mistake in a recipe.
pub fn layers(recipes: &[Recipe]) -> anyhow::Result<Vec<Problem>> {
    let of_recipes: Vec<String> = recipes.iter().map(|recipe| format!("{}-", recipe.name)).collect();
    let mut chosen: Vec<Problem> = Vec::new();
    let (mine, others): (Vec<_>, Vec<_>) = layers::all()?.into_iter().partition(|problem| {
        let mut names = std::iter::once(&problem.name).chain(&problem.aliases);
        !problem.fused && names.any(|name| of_recipes.iter().any(|recipe| name.starts_with(recipe)))
    });
    for problem in mine {
        chosen.push(problem);
    }
    for problem in others {
        if !chosen.iter().any(|known| known.op.name() == problem.op.name()) {
            chosen.push(problem);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_set_holds_its_networks_and_every_operation() {
        let recipes: Vec<Recipe> = USUAL.iter().map(|name| Recipe::find(name).expect("a recipe")).collect();
        let chosen = layers(&recipes).expect("layers");
        for name in ["lenet5-conv1", "depth2-conv2", "depth2-fc1", "depth3-conv3", "depth2-gather"] {
            assert!(chosen.iter().any(|problem| problem.is_called(name)), "{name}");
        }
        for problem in layers::all().expect("layers") {
            assert!(chosen.iter().any(|known| known.op.name() == problem.op.name()), "{}", problem.op.name());
        }
    }
}
