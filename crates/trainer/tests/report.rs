//! The report of runs: whole, readable without anything else, and faithful to the run's files. Runs on the CPU
//! reference, with a network of one small convolution.
#![allow(clippy::unwrap_used)]

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const RECIPE: &str = r#"
name = "tiny"
description = "one small convolution"
source = "nowhere"
assumptions = ["none & \"nothing\""]
layers = [
    { kind = "conv", out = 3, kernel = 5, stride = 4 },
    { kind = "relu" },
    { kind = "flatten" },
    { kind = "dense", out = 10 },
]
[data]
normalise = "unit"
validation = 100
[train]
epochs = 2
batch_size = 8
max_steps = 6
[optimizer]
kind = "adam"
lr = 1e-3
"#;

/// A folder to run in.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("tiny.toml"), RECIPE).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn trainer(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.args(arguments).args(["--device", "reference"]).current_dir(self.0.path());
        command.env("XDG_CACHE_HOME", self.path("cache")).env_remove("FASHION_MNIST_DIR");
        let output = command.output().unwrap();
        assert!(!text(&output.stderr).contains("panicked"), "{arguments:?}\n{}", text(&output.stderr));
        output
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let output = self.trainer(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    /// A finished run.
    fn run(&self, name: &str, more: &[&str]) {
        let line = ["train", "tiny.toml", "--synthetic", "--quiet", "--log-every", "2", "--out", name];
        self.succeeds(&[&line, more].concat());
    }

    fn page(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Changes a file.
    fn edit(&self, name: &str, change: impl Fn(String) -> String) {
        let path = self.path(name);
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Parses a page, and looks at what every page must keep to.
#[track_caller]
fn whole(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}"));
    let elements: Vec<Node<'_, '_>> = document.descendants().filter(Node::is_element).collect();
    let named = |name: &'static str| elements.iter().filter(move |node| node.tag_name().name() == name);

    // Nothing is loaded, nothing runs.
    for name in ["script", "link", "iframe", "object", "embed", "base", "form", "video", "audio", "source"] {
        assert_eq!(named(name).count(), 0, "<{name}>");
    }
    for attribute in elements.iter().flat_map(Node::attributes) {
        let (name, value) = (attribute.name(), attribute.value());
        assert!(!name.starts_with("on"), "{name}={value}");
        assert!(!["srcset", "action", "data", "poster", "background"].contains(&name), "{name}={value}");
        assert!(name != "src" || value.starts_with("data:image/png;base64,"), "{name}={value}");
        assert!(name != "href" || value.starts_with('#'), "{name}={value}");
        assert!(name != "style" || value.starts_with("width:"), "{name}={value}");
    }
    for style in named("style").filter_map(Node::text) {
        assert!(!style.contains("url(") && !style.contains("@import"));
    }

    // Whoever cannot see finds words.
    assert!(named("img").all(|img| img.attribute("alt").is_some_and(|alt| alt.len() > 8)));
    for node in elements.iter().filter(|node| ["img", "region"].contains(&node.attribute("role").unwrap_or_default())) {
        assert!(node.attribute("aria-label").is_some_and(|label| label.len() > 5), "{node:?}");
    }
    for svg in named("svg") {
        let hidden = svg.attribute("aria-hidden") == Some("true");
        assert!(hidden, "the words are beside a drawing, not in it");
    }
    for table in named("table") {
        let caption = table.children().find(|node| node.has_tag_name("caption"));
        assert!(caption.and_then(|caption| caption.text()).is_some_and(|text| !text.is_empty()));
        assert!(table.descendants().filter(|node| node.has_tag_name("th")).all(|th| th.attribute("scope").is_some()));
    }

    // Landmarks, headings, addresses.
    assert_eq!(document.root_element().attribute("lang"), Some("en"));
    for name in ["header", "nav", "main", "footer", "h1", "title"] {
        assert_eq!(named(name).count(), 1, "<{name}>");
    }
    let mut level = 0;
    for node in &elements {
        let name = node.tag_name().name();
        if let Some(next) = name.strip_prefix('h').and_then(|digit| digit.parse::<u32>().ok()) {
            assert!(next <= level + 1, "<{name}> after <h{level}>");
            level = next;
        }
    }
    let ids: Vec<&str> = elements.iter().filter_map(|node| node.attribute("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id appears twice");
    let links = elements.iter().filter_map(|node| node.attribute("href")).map(|link| &link[1..]);
    for id in links.chain(elements.iter().filter_map(|node| node.attribute("aria-labelledby"))) {
        assert!(unique.contains(id), "nothing has the id {id}");
    }
    document
}

/// All text below a node, blanks as they are.
fn words(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}

/// The text of the element with this id.
#[track_caller]
fn section(document: &Document<'_>, id: &str) -> String {
    words(document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap())
}

fn images(document: &Document<'_>, id: &str) -> Vec<String> {
    let section = document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap();
    let images = section.descendants().filter(|node| node.has_tag_name("img"));
    images.map(|img| img.attribute("alt").unwrap().to_owned()).collect()
}

#[test]
fn a_run_ends_with_a_page_that_says_what_its_files_say() {
    let desk = Desk::new();
    desk.run("run", &[]);
    let page = desk.page("run/report.html");
    let document = whole(&page);
    assert!(!page.contains("http"), "an address");
    assert!(!page.contains(desk.0.path().to_str().unwrap()), "a path of this machine");
    assert!(words(document.root_element()).contains("Synthetic data."));

    let summary: Value = serde_json::from_str(&desk.page("run/summary.json")).unwrap();
    let matrix = document.descendants().find(|node| node.attribute("class") == Some("confusion")).unwrap();
    let rows = matrix.descendants().filter(|node| node.has_tag_name("tr")).skip(1);
    let counts: Vec<Vec<u64>> = rows
        .map(|row| {
            let cells = row.children().filter(|node| node.has_tag_name("td"));
            cells.map(|cell| cell.text().unwrap().trim().replace(',', "").parse().unwrap()).collect()
        })
        .collect();
    assert_eq!(serde_json::to_value(&counts).unwrap(), summary["test"]["confusion"]);
    let percent = |share: &Value| format!("{:.2} %", 100.0 * share.as_f64().unwrap());
    let classes = section(&document, "classes");
    for share in summary["test"]["per_class_accuracy"].as_array().unwrap() {
        assert!(classes.contains(&percent(share)), "{share}\n{classes}");
    }
    let tiles = document.descendants().find(|node| node.attribute("class") == Some("tiles")).map(words).unwrap();
    assert!(tiles.contains(&percent(&summary["test"]["accuracy"])) && tiles.contains("1,168"), "{tiles}");

    let curves = section(&document, "curves");
    for line in desk.page("run/metrics.jsonl").lines().filter(|line| line.contains("epoch")) {
        let line: Value = serde_json::from_str(line).unwrap();
        for set in ["train", "validation"] {
            let loss = format!("{:.4}", line[set]["loss"].as_f64().unwrap());
            assert!(curves.contains(&loss) && curves.contains(&percent(&line[set]["accuracy"])), "{line}\n{curves}");
        }
    }
    let plots = document.descendants().filter(|node| node.attribute("class") == Some("plot"));
    let plots: Vec<&str> = plots.map(|plot| plot.attribute("aria-label").unwrap()).collect();
    assert_eq!(plots.len(), 2);
    assert!(plots[0].starts_with("Curves: loss by epoch. train: ") && plots[0].contains("validation: "), "{plots:?}");
    assert!(plots[1].contains("test: ") && plots[1].contains(" % at epoch 1"), "{plots:?}");

    let mistakes = images(&document, "mistakes");
    assert_eq!(mistakes.len(), 24);
    assert!(mistakes.iter().all(|alt| alt.contains(" taken for ")), "{mistakes:?}");
    let wrong = 10_000 - (0..10).map(|class| counts[class][class]).sum::<u64>();
    assert!(section(&document, "mistakes").contains(&format!("{},{:03} of the 10,000", wrong / 1000, wrong % 1000)));
    assert_eq!(images(&document, "filters"), ["The filters of conv1: all 3, 5 × 5 weights each"]);
    let maps = images(&document, "maps");
    assert_eq!(maps.len(), 8, "{maps:?}");
    assert_eq!(maps[1], "Feature maps of relu1 for this Ankle boot: 3 channels of 6 × 6");
    assert!(section(&document, "network").contains("kernel 5, out 3, stride 4"));
    assert!(section(&document, "recipe").contains(&desk.page("run/config.toml")), "another recipe");
    assert!(section(&document, "recipe").contains("none & \"nothing\""));
    assert!(section(&document, "environment").contains("train tiny.toml --synthetic"));

    // What was made must not depend on when and where.
    desk.succeeds(&["report", "run"]);
    let again = desk.page("run/report.html");
    fs::create_dir(desk.path("elsewhere")).unwrap();
    fs::rename(desk.path("run"), desk.path("elsewhere/run")).unwrap();
    let (stdout, stderr) = desk.succeeds(&["report", "elsewhere/run", "--out", "page.html"]);
    assert_eq!((stdout.as_str(), stderr.lines().count()), ("report page.html\n", 1), "{stderr}");
    assert!(stderr.contains("synthetic stand-in"), "{stderr}");
    assert!(desk.page("page.html") == again, "the same run gave another page");
    // Only so many images are looked at on the reference.
    assert!(again.contains("of the first 1,000 test images"));

    // Images can be chosen; those that do not exist are none.
    desk.succeeds(&["report", "elsewhere/run", "--out", "chosen.html", "--images", "7,9999,10000"]);
    let page = desk.page("chosen.html");
    let maps = images(&whole(&page), "maps");
    assert!(maps.len() == 4 && maps[0].starts_with("Test image 7: ") && maps[2].starts_with("Test image 9999: "));
}

#[test]
fn names_cannot_change_the_page() {
    let desk = Desk::new();
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;&#60;]]>-->{{ 7 }}";
    let quoted = evil.replace('"', "\\\"");
    let recipe = RECIPE
        .replace("\"nowhere\"", &format!("\"{quoted}\""))
        .replace("\"one small convolution\"", &format!("\"{quoted}\\u0000\\u001b[31m\\u202e\\uFFFF\""))
        .replace("none & \\\"nothing\\\"", &quoted);
    fs::write(desk.path("tiny.toml"), recipe).unwrap();
    desk.run("run", &["--no-report"]);
    assert!(!desk.path("run/report.html").exists());
    desk.edit("run/metrics.jsonl", |text| text.replace("\"validation\":", &format!("\"{quoted}\":")));
    desk.edit("run/summary.json", |text| text.replace("\"reference\"", &format!("\"{quoted}\"")));
    let folder = desk.path("a <b>&\"quoted\" 'name' {{ 7 }}");
    fs::rename(desk.path("run"), &folder).unwrap();
    let folder = folder.file_name().unwrap().to_str().unwrap();

    desk.succeeds(&["report", folder, "--out", "one.html"]);
    desk.succeeds(&["report", folder, folder, "--out", "two.html"]);
    for name in ["one.html", "two.html"] {
        let page = desk.page(name);
        let document = whole(&page);
        let all = words(document.root_element());
        assert!(all.matches(evil).count() >= 4, "{name}: {}", all.matches(evil).count());
        assert!(all.contains(&format!("{evil}\u{fffd}\u{fffd}[31m\u{fffd}\u{fffd}")), "{name}");
        assert!(all.contains(folder), "{name}");
        assert!(!page.contains(['\0', '\u{1b}', '\u{202e}']), "{name}");
    }
}

#[test]
fn a_run_that_did_not_end_still_has_a_page() {
    let desk = Desk::new();
    desk.run("run", &["--no-report"]);
    let files = ["config.toml", "metrics.jsonl", "summary.json", "model.safetensors", "timings.jsonl"];
    let copy = |name: &str, files: &[&str]| {
        fs::create_dir(desk.path(name)).unwrap();
        for file in files {
            fs::copy(desk.path("run").join(file), desk.path(name).join(file)).unwrap();
        }
    };
    let says = |name: &str, all: &[&str]| {
        let (_, stderr) = desk.succeeds(&["report", name]);
        let page = desk.page(&format!("{name}/report.html"));
        let words = words(whole(&page).root_element());
        for text in all {
            assert!(words.contains(text), "{name}: {text}");
        }
        assert!(stderr.contains(&format!("{name}: ")), "{name}: {stderr}");
    };
    copy("begun", &files[..1]);
    says(
        "begun",
        &["This run is unfinished", "No epoch was finished", "no final test", "model.safetensors is missing"],
    );

    copy("half", &files[..2]);
    desk.edit("half/metrics.jsonl", |text| text[..text.len() - 30].to_owned());
    says("half", &["This run is unfinished", "1 line of metrics.jsonl cannot be read"]);

    copy("empty", &files[..1]);
    fs::write(desk.path("empty/metrics.jsonl"), [0xff, 0xfe, b'\n']).unwrap();
    fs::write(desk.path("empty/summary.json"), "{}").unwrap();
    fs::write(desk.path("empty/model.safetensors"), "").unwrap();
    says("empty", &["1 line of metrics.jsonl", "summary.json cannot be read", "not a valid safetensors file"]);

    // Numbers that no run has.
    copy("huge", &files);
    let line = r#"{"kind":"epoch","epoch":18446744073709551615,"steps":18446744073709551615,"train":{"loss":1e308,"accuracy":-1e308},"test":{"loss":5e14,"accuracy":7}}"#;
    desk.edit("huge/metrics.jsonl", |text| format!("{text}{line}\n{{\"kind\":\"step\",\"step\":0,\"loss\":-1e308}}\n"));
    desk.edit("huge/timings.jsonl", |_| {
        r#"{"epoch":1,"steps":6,"seconds":-1e300,"samples_per_second":1e300}"#.to_owned()
    });
    desk.edit("huge/summary.json", |text| {
        let mut summary: Value = serde_json::from_str(&text).unwrap();
        summary["test"]["confusion"] = vec![vec![u64::MAX; 10]; 10].into();
        summary["test"]["accuracy"] = 1e300.into();
        summary["test"]["images"] = u64::MAX.into();
        summary["seconds"]["train"] = 1e300.into();
        summary.to_string()
    });
    desk.succeeds(&["report", "huge"]);
    whole(&desk.page("huge/report.html"));

    // The data is not what it was, or cannot be had.
    copy("other", &files);
    desk.edit("other/summary.json", |text| text.replace("\"synthetic\"", "\"fashion-mnist\""));
    fs::create_dir(desk.path("data")).unwrap();
    let (_, stderr) = desk.succeeds(&["report", "other", "--data-dir", "data"]);
    assert!(stderr.contains("the images cannot be had"), "{stderr}");
    let page = desk.page("other/report.html");
    let document = whole(&page);
    assert!(section(&document, "mistakes").contains("Not shown: the images cannot be had: data/"), "{stderr}");
    assert!(section(&document, "maps").contains("Not shown: "));
    assert_eq!(images(&document, "filters").len(), 1);
    desk.succeeds(&["report", "other", "--offline"]);
    let page = desk.page("other/report.html");
    assert!(section(&whole(&page), "mistakes").contains("fashion-mnist was not found"), "the stand-in passed for data");
}

#[test]
fn runs_are_compared() {
    let desk = Desk::new();
    desk.run("one", &["--no-report"]);
    desk.run("two", &["--no-report", "--lr", "0.02", "--seed", "3"]);
    fs::create_dir(desk.path("three")).unwrap();
    fs::copy(desk.path("one/config.toml"), desk.path("three/config.toml")).unwrap();
    let (stdout, _) = desk.succeeds(&["report", "one", "two", "three"]);
    assert_eq!(stdout, "report comparison.html\n");
    assert!(!desk.path("one/report.html").exists());
    let page = desk.page("comparison.html");
    let document = whole(&page);

    let accuracies: Vec<f64> = ["one", "two"]
        .map(|run| {
            let summary: Value = serde_json::from_str(&desk.page(&format!("{run}/summary.json"))).unwrap();
            summary["test"]["accuracy"].as_f64().unwrap()
        })
        .to_vec();
    assert_ne!(accuracies[0], accuracies[1]);
    let runs = document.descendants().find(|node| node.attribute("id") == Some("runs")).unwrap();
    let rows: Vec<Node<'_, '_>> = runs.descendants().filter(|node| node.has_tag_name("tr")).skip(1).collect();
    assert_eq!(rows.len(), 3);
    for (row, accuracy) in rows.iter().zip(&accuracies) {
        assert!(words(*row).contains(&format!("{:.2} %", 100.0 * accuracy)));
        assert_eq!(row.attribute("class") == Some("best"), *accuracy == accuracies[0].max(accuracies[1]));
    }
    assert!(words(rows[2]).contains("unfinished"));

    let differences = section(&document, "differences");
    for text in ["optimizer.lr", "0.001", "0.02", "train.seed"] {
        assert!(differences.contains(text), "{text}\n{differences}");
    }
    assert!(!differences.contains("batch_size") && !differences.contains("layers"), "{differences}");
    assert!(section(&document, "classes").contains("Ankle boot"));
    let legends = document.descendants().filter(|node| node.attribute("class") == Some("legend"));
    assert!(legends.take(4).all(|legend| words(legend).contains("one") && words(legend).contains("two")));
    for (number, mistakes) in [(1, 24), (2, 24), (3, 0)] {
        assert_eq!(images(&document, &format!("run{number}-mistakes")).len(), mistakes);
    }
    assert!(section(&document, "run3-run").contains("This run is unfinished"));
}

#[test]
fn what_is_no_run_is_refused() {
    let desk = Desk::new();
    fs::create_dir(desk.path("empty")).unwrap();
    fs::create_dir(desk.path("bad")).unwrap();
    fs::write(desk.path("bad/config.toml"), "name = 3").unwrap();
    for (arguments, message) in [
        (&["report"][..], "required arguments were not provided"),
        (&["report", "nowhere"], "there is no run folder nowhere"),
        (&["report", "tiny.toml"], "tiny.toml is not a folder"),
        (&["report", "empty"], "empty holds no run: config.toml is missing"),
        (&["report", "bad"], "bad/config.toml:1:"),
        (&["report", "bad", "--images", "x"], "invalid value 'x'"),
    ] {
        let output = desk.trainer(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{stderr}");
        assert!(stderr.contains(message), "{arguments:?}\n{stderr}");
    }
    assert!(!Path::new(&desk.path("comparison.html")).exists());
}
