//! Recipe files: from TOML, with the line of whatever is wrong, and back.

use super::{
    Augment, Data, EarlyStopping, Erasing, Field, LayerSpec, Loss, Optimizer, Recipe, RecipeError, Reported, Schedule,
    Train,
};
use crate::plain::plain;
use crate::similar::most_similar;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

/// A place in a recipe file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Line and column, from 1; `None` for the file as a whole.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Each of these takes the parser up to 400 bytes. No recipe or sweep comes near it.
const MAX_TOKENS: usize = 4096;

/// Refuses what would swell when it is parsed. `file` is for messages.
pub(crate) fn bounded(text: &str, file: &str) -> Result<(), RecipeError> {
    let mut tokens = text.bytes().enumerate().filter(|(_, byte)| b"=,.[{#\n".contains(byte));
    let Some((offset, _)) = tokens.nth(MAX_TOKENS) else { return Ok(()) };
    let place = Place { file: file.to_owned(), position: Some(position(text, offset)) };
    let message = format!("more than {MAX_TOKENS} lines, keys and values so far; this is no recipe or sweep");
    Err(RecipeError::Syntax { place, message })
}

impl Recipe {
    /// Reads and checks a recipe. `file` is for messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, RecipeError> {
        let place = |offset| Place { file: file.to_owned(), position: Some(position(text, offset)) };
        bounded(text, file)?;
        let recipe = deserialize(text)
            .map_err(|wrong| RecipeError::Syntax { place: place(wrong.offset), message: plain(&wrong.message) })?;
        recipe.check().map_err(|error| match error {
            RecipeError::Value { field, got, expected, .. } => {
                RecipeError::Value { place: Some(Box::new(place(locate(text, field)))), field, got, expected }
            }
            RecipeError::Network { error, .. } => {
                let field = Field { table: Some("layers"), index: error.layer(), key: "" };
                RecipeError::Network { place: Some(Box::new(place(locate(text, field)))), error }
            }
            other => other,
        })?;
        Ok(recipe)
    }

    /// Reads a recipe whose values were not checked. The error is without a place.
    pub(crate) fn parse_unchecked(text: &str) -> Result<Self, String> {
        deserialize(text).map_err(|wrong| plain(&wrong.message))
    }

    /// As a recipe file; [`Recipe::parse`] gives the same recipe again.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

/// All of a recipe file but the tables with a `kind`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    assumptions: Vec<String>,
    #[serde(default)]
    findings: Vec<String>,
    data: Data,
    augment: Option<Augment>,
    erasing: Option<Erasing>,
    train: Train,
    early_stopping: Option<EarlyStopping>,
    #[serde(default)]
    reported: Reported,
}

/// What is wrong, and at which byte.
struct Wrong {
    offset: usize,
    message: String,
}

impl Wrong {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { offset: span.start, message: message.into() }
    }

    /// A missing field is an error of the whole table and comes without a place.
    fn within(span: Range<usize>, error: &toml::de::Error) -> Self {
        Self::new(error.span().unwrap_or(span), with_suggestion(error.message().trim_end().replace('\n', "; ")))
    }
}

/// A message with the name that was probably meant.
fn suggest<'a>(message: String, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match most_similar(name, known) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message,
    }
}

/// The same for serde's "unknown field `epoch`, expected one of `epochs`, …". Its list of a recipe's own fields lacks the
/// tables that are read apart.
fn with_suggestion(mut message: String) -> String {
    if !["unknown field `", "unknown variant `"].iter().any(|head| message.starts_with(head)) {
        return message;
    }
    if message.contains("`early_stopping`") && message.contains("`train`") {
        message += ", `layers`, `loss`, `optimizer`, `schedule`";
    }
    let names: Vec<String> = message.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    match names.split_first() {
        Some((name, known)) => suggest(message, name, known.iter().map(String::as_str)),
        None => message,
    }
}

/// Tables with a `kind` are told apart here and not by serde, which would forget their lines.
fn deserialize(text: &str) -> Result<Recipe, Wrong> {
    let mut root = DeTable::parse(text).map_err(|error| Wrong::within(0..0, &error))?;
    let mut take = |key: &str| {
        let value = root.get_mut().remove(key);
        value.ok_or_else(|| Wrong::new(0..0, format!("missing field `{key}`")))
    };
    let optimizer = take("optimizer")?;
    let layers = take("layers")?;
    let [loss, schedule] = ["loss", "schedule"].map(|key| root.get_mut().remove(key));

    let head = Head::deserialize(Deserializer::from(root)).map_err(|error| Wrong::within(0..0, &error))?;
    let Head { name, description, source, assumptions, findings, data, augment, erasing, train, .. } = head;
    let Head { early_stopping, reported, .. } = head;
    let optimizer = self::optimizer(optimizer)?;
    let loss = loss.map(self::loss).transpose()?.unwrap_or_default();
    let schedule = schedule.map(self::schedule).transpose()?.unwrap_or_default();
    let span = layers.span();
    let DeValue::Array(layers) = layers.into_inner() else {
        return Err(Wrong::new(span, "`layers` must be a list of tables"));
    };
    let layers = layers.into_iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Recipe {
        name,
        description,
        source,
        assumptions,
        findings,
        data,
        augment,
        erasing,
        train,
        loss,
        optimizer,
        schedule,
        early_stopping,
        reported,
        layers,
    })
}

/// For kinds without fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn loss(table: Spanned<DeValue<'_>>) -> Result<Loss, Wrong> {
    let (kind, rest) = take_kind(table)?;
    Ok(match kind.get_ref().as_str() {
        "cross_entropy" => Loss::CrossEntropy(fields(rest)?),
        "nll" => fields(rest).map(|Nothing {}| Loss::Nll)?,
        "hinge" => fields(rest).map(|Nothing {}| Loss::Hinge)?,
        _ => return Err(unknown(&kind, "cross_entropy, nll or hinge")),
    })
}

fn schedule(table: Spanned<DeValue<'_>>) -> Result<Schedule, Wrong> {
    let (kind, rest) = take_kind(table)?;
    Ok(match kind.get_ref().as_str() {
        "constant" => Schedule::Constant(fields(rest)?),
        "step" => Schedule::Step(fields(rest)?),
        "cosine" => Schedule::Cosine(fields(rest)?),
        "one_cycle" => Schedule::OneCycle(fields(rest)?),
        _ => return Err(unknown(&kind, "constant, step, cosine or one_cycle")),
    })
}

fn optimizer(table: Spanned<DeValue<'_>>) -> Result<Optimizer, Wrong> {
    let (kind, rest) = take_kind(table)?;
    Ok(match kind.get_ref().as_str() {
        "sgd" => Optimizer::Sgd(fields(rest)?),
        "adam" => Optimizer::Adam(fields(rest)?),
        "adamw" => Optimizer::AdamW(fields(rest)?),
        "rmsprop" => Optimizer::RmsProp(fields(rest)?),
        _ => return Err(unknown(&kind, "sgd, adam, adamw or rmsprop")),
    })
}

fn layer(table: Spanned<DeValue<'_>>) -> Result<LayerSpec, Wrong> {
    let (kind, rest) = take_kind(table)?;
    Ok(match kind.get_ref().as_str() {
        "conv" => LayerSpec::Conv(fields(rest)?),
        "batch_norm" => LayerSpec::BatchNorm(fields(rest)?),
        "relu" => fields(rest).map(|Nothing {}| LayerSpec::Relu)?,
        "max_pool" => LayerSpec::MaxPool(fields(rest)?),
        "avg_pool" => LayerSpec::AvgPool(fields(rest)?),
        "flatten" => fields(rest).map(|Nothing {}| LayerSpec::Flatten)?,
        "dense" => LayerSpec::Dense(fields(rest)?),
        "fourier_features" => LayerSpec::FourierFeatures(fields(rest)?),
        "dropout" => LayerSpec::Dropout(fields(rest)?),
        _ => {
            let known = "conv, batch_norm, relu, max_pool, avg_pool, flatten, dense, fourier_features or dropout";
            return Err(unknown(&kind, known));
        }
    })
}

/// The `kind` of a table, and its other fields.
fn take_kind(table: Spanned<DeValue<'_>>) -> Result<(Spanned<String>, Spanned<DeValue<'_>>), Wrong> {
    let span = table.span();
    let DeValue::Table(mut fields) = table.into_inner() else {
        return Err(Wrong::new(span, "expected a table with a `kind`"));
    };
    let kind = fields.remove("kind").ok_or_else(|| Wrong::new(span.clone(), "missing field `kind`"))?;
    let kind =
        Spanned::deserialize(ValueDeserializer::from(kind)).map_err(|error| Wrong::within(span.clone(), &error))?;
    Ok((kind, Spanned::new(span, DeValue::Table(fields))))
}

fn fields<T: DeserializeOwned>(table: Spanned<DeValue<'_>>) -> Result<T, Wrong> {
    let span = table.span();
    T::deserialize(ValueDeserializer::from(table)).map_err(|error| Wrong::within(span, &error))
}

fn unknown(kind: &Spanned<String>, known: &str) -> Wrong {
    let message = format!("unknown kind {:?}, expected {known}", kind.get_ref());
    let names = known.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !["or", ""].contains(word));
    Wrong::new(kind.span(), suggest(message, kind.get_ref(), names))
}

/// Where a field stands, or the table it is missing from.
fn locate(text: &str, field: Field) -> usize {
    let Ok(root) = DeTable::parse(text) else {
        return 0;
    };
    let root = DeValue::Table(root.into_inner());
    let mut table = &root;
    let mut offset = 0;
    if let Some(name) = field.table {
        let Some(named) = table.get(name) else {
            return 0;
        };
        offset = named.span().start;
        table = named.get_ref();
    }
    if let Some(element) = field.index.and_then(|index| table.get(index)) {
        offset = element.span().start;
        table = element.get_ref();
    }
    table.as_table().and_then(|table| table.get(field.key)).map_or(offset, |value| value.span().start)
}

/// Line and column of a byte, from 1.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{BUILT_IN, PerAxis};

    const GOOD: &str = r#"name = "mine"

[data]
normalise = "unit"

[train]
epochs = 1
batch_size = 8

[optimizer]
kind = "sgd"
lr = 0.1

[[layers]]
kind = "flatten"

[[layers]]
kind = "dense"
out = 10
"#;

    /// The message for `GOOD` with one piece of text replaced.
    fn message(from: &str, to: &str) -> String {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        Recipe::parse(&GOOD.replace(from, to), "mine.toml").unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        let recipe = Recipe::parse(GOOD, "mine.toml").unwrap();
        assert_eq!(recipe.train.order, crate::recipe::Order::Shuffled);
        assert_eq!((recipe.train.seed, recipe.data.validation), (0, 0));
        let Optimizer::Sgd(sgd) = &recipe.optimizer else { panic!("{:?}", recipe.optimizer) };
        assert_eq!((sgd.lr, sgd.momentum, sgd.nesterov), (0.1, 0.0, false));
    }

    #[test]
    fn sizes_are_one_integer_or_height_and_width() {
        let conv = "kind = \"conv\"\nout = 2\nkernel = [3, 5]\npad = 1\n\n[[layers]]\nkind = \"flatten\"";
        let recipe = Recipe::parse(&GOOD.replace("kind = \"flatten\"", conv), "mine.toml").unwrap();
        let LayerSpec::Conv(conv) = &recipe.layers[0] else { panic!("{:?}", recipe.layers[0]) };
        assert_eq!(conv.kernel, PerAxis { h: 3, w: 5 });
        assert_eq!((conv.pad, conv.stride), (PerAxis::both(1), PerAxis::both(1)));
        let again = Recipe::parse(&recipe.to_toml().unwrap(), "again.toml").unwrap();
        assert_eq!(again, recipe);
    }

    #[test]
    fn every_recipe_survives_being_written() {
        for built_in in BUILT_IN {
            let recipe = Recipe::built_in(built_in).unwrap();
            let again = Recipe::parse(&recipe.to_toml().unwrap(), "config.toml").unwrap();
            assert_eq!(again, recipe);
        }
    }

    #[test]
    fn errors_name_file_line_and_column() {
        for (from, to, expected) in [
            ("name = \"mine\"", "name = \"mine", "mine.toml:1:13: "),
            ("name = \"mine\"", "", "mine.toml:1:1: missing field `name`"),
            ("name = \"mine\"", "name = 7", "mine.toml:1:8: invalid type: integer `7`, expected a string"),
            ("name = \"mine\"", "name = \"a/b\"", "mine.toml:1:8: name is \"a/b\"; it must be "),
            ("name = \"mine\"", "name = \"..\"", "mine.toml:1:8: name is \"..\"; it must be "),
            ("\"unit\"", "\"units\"", "mine.toml:4:13: unknown variant `units`, expected `unit` or `symmetric`"),
            ("\"unit\"", "\"unit\"\nvalidation = 60000", "mine.toml:5:14: data.validation is 60000; "),
            ("\"unit\"", "\"unit\"\nvalidation = -1", "mine.toml:5:14: invalid value: integer `-1`"),
            ("epochs = 1", "epochs = 0", "mine.toml:7:10: train.epochs is 0; it must be between 1 and 1000000"),
            ("batch_size = 8", "batch_size = 0", "mine.toml:8:14: train.batch_size is 0; "),
            ("batch_size = 8", "batch_size = 60001", "mine.toml:8:14: train.batch_size is 60001; "),
            ("batch_size = 8", "", "mine.toml:6:1: missing field `batch_size`"),
            ("batch_size = 8", "batch_size = 8\nspeed = 1", "mine.toml:9:1: unknown field `speed`, expected one of "),
            ("batch_size = 8", "batch_size = 8\nmax_steps = 0", "mine.toml:9:13: train.max_steps is 0; "),
            ("\"sgd\"", "\"lion\"", "mine.toml:11:8: unknown kind \"lion\", expected sgd, adam, adamw or rmsprop"),
            ("kind = \"sgd\"", "", "mine.toml:10:1: missing field `kind`"),
            ("\"sgd\"", "\"adam\"\nmomentum = 0.9", "mine.toml:12:1: unknown field `momentum`"),
            ("\"sgd\"", "\"sgd\"\nnesterov = true", "mine.toml:10:1: optimizer.momentum is 0; it must be above 0"),
            ("lr = 0.1", "lr = nan", "mine.toml:12:6: optimizer.lr is NaN; it must be a number above 0 "),
            ("lr = 0.1", "lr = inf", "mine.toml:12:6: optimizer.lr is inf; "),
            ("lr = 0.1", "lr = 1e-60", "mine.toml:12:6: optimizer.lr is "),
            ("lr = 0.1", "lr = -0.1", "mine.toml:12:6: optimizer.lr is -0.1; "),
            ("lr = 0.1", "momentum = 0.99999999999", "mine.toml:12:12: optimizer.momentum is 0.99999999999; "),
            ("\"flatten\"", "\"flaten\"", "mine.toml:15:8: unknown kind \"flaten\", expected conv, "),
            ("\"flatten\"", "\"flatten\"\nout = 1", "mine.toml:16:1: unknown field `out`"),
            (
                "\"flatten\"",
                "\"dropout\"\nrate = 1",
                "mine.toml:16:8: layer 1: rate is 1; it must be at least 0 and below 1",
            ),
            ("\"flatten\"", "\"dropout\"", "mine.toml:14:1: missing field `rate`"),
            ("\"flatten\"", "\"batch_norm\"\neps = 0", "mine.toml:16:7: layer 1: eps is 0; "),
            ("\"flatten\"", "\"max_pool\"\nkernel = [2]", "mine.toml:16:10: invalid length 1, expected a size"),
            ("\"flatten\"", "\"max_pool\"\nkernel = [2, 2, 2]", "mine.toml:16:10: invalid length 3, expected a size"),
            (
                "\"flatten\"",
                "\"max_pool\"\nkernel = -2",
                "mine.toml:16:10: invalid value: integer `-2`, expected a size",
            ),
            ("\"flatten\"", "\"max_pool\"\nkernel = 31", "mine.toml:14:1: layer 1 (max_pool): "),
            ("\"flatten\"", "\"relu\"", "mine.toml:17:1: layer 2 (dense) "),
            ("out = 10", "out = 11", "mine.toml:17:1: layer 2 (dense): the network ends in [11] "),
            ("out = 10", "out = 0", "mine.toml:17:1: layer 2 (dense): dense: features_out is 0"),
        ] {
            let message = message(from, to);
            assert!(message.starts_with(expected), "{from} -> {to}\n  {message}\n  {expected}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_last_batch_of_one_image_is_refused_for_batch_norm() {
        let norm = GOOD.replace("\"flatten\"", "\"flatten\"\n\n[[layers]]\nkind = \"batch_norm\"");
        Recipe::parse(&norm, "mine.toml").unwrap();
        let one_left = norm.replace("batch_size = 8", "batch_size = 59999");
        let message = Recipe::parse(&one_left, "mine.toml").unwrap_err().to_string();
        assert!(
            message.starts_with("mine.toml:17:1: layer 2 (batch_norm): batch_norm: the number of values"),
            "{message}"
        );
    }

    #[test]
    fn layers_must_be_a_list_of_tables() {
        let head = GOOD.split("[[layers]]").next().unwrap();
        for (layers, expected) in [
            ("", "1:1: missing field `layers`"),
            ("layers = 3\n", "1:10: `layers` must be a list of tables"),
            ("layers = []\n", "1:10: layers is a list of 0; it must be a list of 1 to 1000"),
            ("layers = [3]\n", "1:11: expected a table with a `kind`"),
            ("layers = [{ kind = 3 }]\n", "1:20: invalid type: integer `3`, expected a string"),
        ] {
            let message = Recipe::parse(&format!("{layers}{head}"), "mine.toml").unwrap_err().to_string();
            assert_eq!(message, format!("mine.toml:{expected}"));
        }
    }

    #[test]
    fn positions_count_characters() {
        assert_eq!(position("é = 1\nb", 0), (1, 1));
        assert_eq!(position("é = 1\nb", 5), (1, 5));
        assert_eq!(position("é = 1\nb", 7), (2, 1));
        assert_eq!(position("b", 99), (1, 2));
    }
}
