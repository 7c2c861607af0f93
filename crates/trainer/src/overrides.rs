//! Flags that change a recipe.

use crate::cli::{Overrides, TrainArgs, UsageError};
use crate::recipe::{LayerSpec, Optimizer, Recipe};

impl TrainArgs {
    /// The recipe to train, changed by the other flags and checked.
    pub fn recipe(&self) -> anyhow::Result<Recipe> {
        self.changed(Recipe::find(&self.recipe)?)
    }

    /// A recipe changed by the other flags and checked.
    pub fn changed(&self, mut recipe: Recipe) -> anyhow::Result<Recipe> {
        self.overrides.apply(&mut recipe)?;
        recipe.check()?;
        Ok(recipe)
    }
}

impl Overrides {
    /// Changes what was given. The result is still to be checked.
    pub fn apply(&self, recipe: &mut Recipe) -> Result<(), UsageError> {
        let train = &mut recipe.train;
        set(&mut train.epochs, self.epochs);
        set(&mut train.batch_size, self.batch_size);
        set(&mut train.seed, self.seed);
        set(&mut train.order, self.order);
        set(&mut train.precision, self.precision);
        train.max_steps = self.max_steps.or(train.max_steps);
        set(&mut recipe.data.validation, self.validation);
        if self.validation.is_some_and(|images| images > 0) {
            recipe.data.validate_on_test = false;
        }
        set(&mut recipe.data.normalise, self.normalise);
        if let Some(rate) = self.dropout {
            set_dropout(recipe, rate)?;
        }
        self.apply_to_optimizer(&mut recipe.optimizer)?;
        recipe.assign(&self.set)
    }

    fn apply_to_optimizer(&self, optimizer: &mut Optimizer) -> Result<(), UsageError> {
        if let Some(kind) = self.optimizer.filter(|&kind| kind != optimizer.kind()) {
            *optimizer = kind.defaults();
        }
        let numbers = [
            ("lr", self.lr),
            ("momentum", self.momentum),
            ("weight_decay", self.weight_decay),
            ("beta1", self.beta1),
            ("beta2", self.beta2),
            ("eps", self.eps),
            ("alpha", self.alpha),
        ];
        for (name, value) in numbers {
            let Some(value) = value else { continue };
            match optimizer.numbers().into_iter().find(|(field, _)| *field == name) {
                Some((_, number)) => *number = value,
                None => return Err(not_of_optimizer(name, optimizer)),
            }
        }
        match (self.nesterov, &mut *optimizer) {
            (Some(nesterov), Optimizer::Sgd(sgd)) => sgd.nesterov = nesterov,
            (Some(_), _) => return Err(not_of_optimizer("nesterov", optimizer)),
            (None, _) => {}
        }
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn set_dropout(recipe: &mut Recipe, rate: f64) -> Result<(), UsageError> {
    let mut any = false;
    for layer in &mut recipe.layers {
        if let LayerSpec::Dropout(dropout) = layer {
            dropout.rate = rate;
            any = true;
        }
    }
    if any { Ok(()) } else { Err(UsageError::NoDropout { recipe: recipe.name.clone() }) }
}

fn not_of_optimizer(name: &str, optimizer: &mut Optimizer) -> UsageError {
    let flag = |name: &str| format!("--{}", name.replace('_', "-"));
    let mut known: Vec<String> = optimizer.numbers().iter().map(|(name, _)| flag(name)).collect();
    if matches!(optimizer, Optimizer::Sgd(_)) {
        known.push("--nesterov".to_owned());
    }
    UsageError::NotOfOptimizer { flag: flag(name), optimizer: optimizer.kind(), known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::exit::Failure;
    use crate::recipe::{Adam, AdamW, Normalise, Order, RmsProp, Sgd};
    use std::ffi::OsString;

    fn recipe(line: &str) -> anyhow::Result<Recipe> {
        let line = format!("trainer train {line}");
        match Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command() {
            Command::Train(args) => args.recipe(),
            other => panic!("{other:?}"),
        }
    }

    fn optimizer(line: &str) -> Optimizer {
        recipe(line).unwrap().optimizer
    }

    #[test]
    fn without_flags_the_recipe_is_as_written() {
        assert_eq!(recipe("depth3").unwrap(), Recipe::find("depth3").unwrap());
    }

    #[test]
    fn flags_change_what_they_name() {
        let changed = recipe(
            "depth2 --epochs 3 --max-steps 5 --batch-size 9 --seed 11 --order sequential --validation 0 \
             --normalise unit --precision f16-storage --dropout 0.1",
        )
        .unwrap();
        let mut expected = Recipe::find("depth2").unwrap();
        expected.train = crate::recipe::Train {
            epochs: 3,
            batch_size: 9,
            seed: 11,
            order: Order::Sequential,
            max_steps: Some(5),
            precision: crate::recipe::Precision::F16Storage,
            ..expected.train
        };
        expected.data = crate::recipe::Data { normalise: Normalise::Unit, validation: 0, ..expected.data };
        expected.layers[8] = LayerSpec::Dropout(crate::recipe::Dropout { rate: 0.1 });
        assert_eq!(changed, expected);
    }

    #[test]
    fn the_changed_recipe_survives_being_written() {
        for line in [
            "depth2 --dropout 0.1 --optimizer rmsprop --max-steps 7",
            "depth2 --optimizer sgd --momentum 0.9 --nesterov",
        ] {
            let changed = recipe(line).unwrap();
            assert_eq!(Recipe::parse(&changed.to_toml().unwrap(), "config.toml").unwrap(), changed);
        }
    }

    #[test]
    fn another_optimizer_starts_from_its_defaults() {
        let sgd = Sgd { lr: 1e-3, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        assert_eq!(optimizer("depth2 --optimizer sgd"), Optimizer::Sgd(sgd.clone()));
        assert_eq!(
            optimizer("depth2 --optimizer rmsprop"),
            Optimizer::RmsProp(RmsProp { lr: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0 })
        );
        assert_eq!(
            optimizer("depth2 --optimizer adamw --lr 0.5"),
            Optimizer::AdamW(AdamW { lr: 0.5, ..AdamW::default() })
        );
        assert_eq!(
            optimizer("depth2 --optimizer adam --beta1 0.8"),
            Optimizer::Adam(Adam { beta1: 0.8, ..Adam::default() })
        );
        assert_eq!(
            optimizer("depth2 --optimizer sgd --momentum 0.9 --nesterov"),
            Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..sgd })
        );
    }

    #[test]
    fn flags_that_do_not_fit_are_usage_errors() {
        for (line, expected) in [
            (
                "depth2 --momentum 0.9",
                "--momentum does not go with the optimiser adam, which has --lr, --beta1, --beta2, --eps, --weight-decay",
            ),
            ("depth2 --nesterov", "--nesterov does not go with the optimiser adam"),
            (
                "depth2 --optimizer sgd --beta1 0.9",
                "--beta1 does not go with the optimiser sgd, which has --lr, --momentum, --weight-decay, --nesterov",
            ),
            ("depth2 --optimizer sgd --nesterov", "optimizer.momentum is 0; it must be above 0"),
            ("--optimizer adamw --alpha 0.9", "--alpha does not go with the optimiser adamw"),
            ("--dropout 0.5", "--dropout: the network of `lenet5` has no dropout layer"),
            ("depth2 --dropout 1", "layer 9: rate is 1; it must be at least 0 and below 1"),
            ("depth2 --dropout nan", "layer 9: rate is NaN"),
            ("--lr 0", "optimizer.lr is 0"),
            ("--lr inf", "optimizer.lr is inf"),
            ("--lr=-1", "optimizer.lr is -1"),
            ("--epochs 0", "train.epochs is 0"),
            ("--batch-size 0", "train.batch_size is 0"),
            ("--batch-size 18446744073709551615", "train.batch_size is 18446744073709551615"),
            ("--max-steps 0", "train.max_steps is 0"),
            ("--seed 18446744073709551615", "train.seed is 18446744073709551615; it must be less than 2^63"),
            ("--validation 60000", "data.validation is 60000"),
            ("--validation 59990 --batch-size 11", "train.batch_size is 11"),
            ("nonsense", "there is no recipe `nonsense`"),
            ("no/such.toml", "recipe no/such.toml: "),
        ] {
            let error = recipe(line).expect_err(line);
            assert!(error.to_string().starts_with(expected), "{line}: {error}");
            assert_eq!(Failure::of(&error), Failure::Usage, "{line}");
        }
    }
}
