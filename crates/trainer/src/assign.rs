//! `--set PATH=VALUE`: any field of a recipe, by its place in the recipe file.

use crate::cli::UsageError;
use crate::recipe::Recipe;
use toml::{Table, Value};

impl Recipe {
    /// Sets fields by assignments such as `train.epochs=3`, `layers.9.rate=0.1` (layers count from 1) or
    /// `schedule.kind=cosine`. Values are TOML; what is no TOML is taken as text, and `none` removes a field. A new
    /// `kind` starts its table afresh. The result is still to be checked.
    pub fn assign(&mut self, assignments: &[String]) -> Result<(), UsageError> {
        let Some(last) = assignments.last() else { return Ok(()) };
        let wrong = |assignment: &str, message: String| UsageError::Set { assignment: assignment.to_owned(), message };
        let mut table = Table::try_from(&*self).map_err(|error| wrong(last, error.to_string()))?;
        for assignment in assignments {
            let (path, text) = assignment
                .split_once('=')
                .ok_or_else(|| wrong(assignment, "expected PATH=VALUE, such as train.epochs=3".to_owned()))?;
            let value = text.parse().unwrap_or_else(|_| Value::String(text.to_owned()));
            let value = (text != "none").then_some(value);
            let path: Vec<&str> = path.trim().split('.').collect();
            set(&mut table, &path, value).map_err(|message| wrong(assignment, message))?;
        }
        let text = toml::to_string(&table).map_err(|error| wrong(last, error.to_string()))?;
        *self = Self::parse_unchecked(&text).map_err(|message| wrong(&assignments.join(" "), message))?;
        Ok(())
    }
}

/// Sets or removes what `path` leads to.
fn set(table: &mut Table, path: &[&str], value: Option<Value>) -> Result<(), String> {
    let Some((&key, rest)) = path.split_first() else { return Err("the path is empty".to_owned()) };
    if key.is_empty() {
        return Err("a part of the path is empty".to_owned());
    }
    if rest.is_empty() {
        let Some(value) = value else {
            table.remove(key);
            return Ok(());
        };
        if key == "kind" && table.get(key).is_some_and(|kind| *kind != value) {
            table.clear();
        }
        table.insert(key.to_owned(), value);
        return Ok(());
    }
    match table.entry(key).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(table) => set(table, rest, value),
        Value::Array(list) => {
            let (number, rest) = (rest[0], &rest[1..]);
            let len = list.len();
            let index = number.parse::<usize>().ok().filter(|index| (1..=len).contains(index));
            let element = index.and_then(|index| list.get_mut(index - 1));
            match (element, value) {
                (Some(Value::Table(table)), value) if !rest.is_empty() => set(table, rest, value),
                (Some(element), Some(value)) if rest.is_empty() => {
                    *element = value;
                    Ok(())
                }
                (Some(_), _) => Err(format!("`{key}.{number}` cannot be removed and has no fields to set")),
                (None, _) => Err(format!("`{key}` has {len} entries, numbered from 1; `{number}` is none of them")),
            }
        }
        _ => Err(format!("`{key}` has no fields")),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::UsageError;
    use crate::recipe::{Cosine, EarlyStopping, LayerSpec, Monitor, Optimizer, Precision, Recipe, Schedule, Sgd};

    fn assigned(name: &str, assignments: &[&str]) -> Result<Recipe, UsageError> {
        let mut recipe = Recipe::find(name).unwrap();
        let assignments: Vec<String> = assignments.iter().map(|&text| text.to_owned()).collect();
        recipe.assign(&assignments).map(|()| recipe)
    }

    #[test]
    fn any_field_can_be_set() {
        let recipe = assigned(
            "depth2",
            &[
                "train.epochs=3",
                "train.clip_grad_norm=1.5",
                "train.precision=f16-storage",
                "train.loss_scale=1024",
                "layers.9.rate=0.25",
                "layers.1.kernel=[3, 5]",
                "schedule.kind=cosine",
                "schedule.floor=0.1",
                "optimizer.kind=sgd",
                "optimizer.lr=0.1",
                "early_stopping.patience=2",
                "augment.flip_horizontal=true",
                "description=mine, with a comma",
            ],
        )
        .unwrap();
        recipe.check().unwrap();
        assert_eq!((recipe.train.epochs, recipe.train.clip_grad_norm), (3, Some(1.5)));
        assert_eq!((recipe.train.precision, recipe.train.loss_scale), (Precision::F16Storage, Some(1024.0)));
        assert!(matches!(&recipe.layers[8], LayerSpec::Dropout(dropout) if dropout.rate == 0.25));
        assert!(matches!(&recipe.layers[0], LayerSpec::Conv(conv) if conv.kernel.w == 5));
        assert_eq!(recipe.schedule, Schedule::Cosine(Cosine { warm_up: 0.0, floor: 0.1 }));
        assert_eq!(recipe.optimizer, Optimizer::Sgd(Sgd { lr: 0.1, ..Sgd::default() }));
        let stopping = EarlyStopping { monitor: Monitor::Loss, patience: 2, min_delta: 0.0, restore_best: false };
        assert_eq!(recipe.early_stopping, Some(stopping));
        assert!(recipe.augment.is_some_and(|augment| augment.flip_horizontal));
        assert_eq!(recipe.description, "mine, with a comma");
    }

    #[test]
    fn none_removes_and_nothing_changes_nothing() {
        assert_eq!(assigned("shallow1", &["data.training_images=none"]).unwrap().data.training_images, None);
        assert_eq!(assigned("deep4-same-augmented", &["augment=none"]).unwrap().augment, None);
        let again = assigned("svm-rff", &["train.seed=0"]).unwrap();
        assert_eq!(again, Recipe::find("svm-rff").unwrap());
    }

    #[test]
    fn what_does_not_exist_is_refused_with_the_assignment() {
        for (assignment, expected) in [
            ("train.epoch=3", "--set train.epoch=3: unknown field `epoch`, expected one of `epochs`"),
            ("schedul.kind=cosine", "--set schedul.kind=cosine: unknown field `schedul`, expected one of `name`"),
            ("train.epochs", "--set train.epochs: expected PATH=VALUE"),
            ("train.epochs=three", "--set train.epochs=three: invalid type: string \"three\", expected u64"),
            ("train..epochs=3", "--set train..epochs=3: a part of the path is empty"),
            ("train.epochs.x=3", "--set train.epochs.x=3: `epochs` has no fields"),
            ("layers.99.rate=3", "--set layers.99.rate=3: `layers` has 11 entries, numbered from 1; `99` is none"),
            ("optimizer.kind=lion", "--set optimizer.kind=lion: unknown kind \"lion\", expected sgd"),
        ] {
            let error = assigned("depth2", &[assignment]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
        for (assignment, suggestion) in [
            ("train.epoch=3", "`epochs`"),
            ("schedul.kind=cosine", "`schedule`"),
            ("layer.3.rate=0.1", "`layers`"),
            ("optimizer.kind=adm", "`adam`"),
            ("schedule.kind=cosin", "`cosine`"),
        ] {
            let error = assigned("depth2", &[assignment]).unwrap_err().to_string();
            assert!(error.ends_with(&format!("; did you mean {suggestion}?")), "{error}");
        }
        // The recipe's tables are no fields of `train`.
        let error = assigned("depth2", &["train.epoch=3"]).unwrap_err().to_string();
        assert!(!error.contains("`layers`"), "{error}");
    }
}
