//! Writes a contact sheet of the data as PGM to stdout: one row per class.
//!
//! `cargo run -p fashion_mnist --example contact_sheet [-- synthetic] > sheet.pgm`

use std::io::Write;

use fashion_mnist::{CLASSES, Finder, SIDE, Source};

const COLUMNS: usize = 24;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = match std::env::args().nth(1).as_deref() {
        Some("synthetic") => Source::Synthetic,
        _ => Source::Auto,
    };
    let data = Finder::new(source).find(&mut |_| ())?;
    eprintln!("{} ({})", data.name, data.origin);

    let width = COLUMNS * SIDE;
    let mut sheet = vec![0; CLASSES.len() * SIDE * width];
    let mut used = [0; CLASSES.len()];
    for (&label, image) in data.train.labels().iter().zip(data.train.images().chunks_exact(SIDE * SIDE)) {
        let (class, column) = (usize::from(label), used[usize::from(label)]);
        if column == COLUMNS {
            continue;
        }
        used[class] += 1;
        for (y, row) in image.chunks_exact(SIDE).enumerate() {
            let start = (class * SIDE + y) * width + column * SIDE;
            sheet[start..start + SIDE].copy_from_slice(row);
        }
    }
    let mut out = std::io::stdout().lock();
    write!(out, "P5\n{width} {}\n255\n", CLASSES.len() * SIDE)?;
    out.write_all(&sheet)?;
    Ok(())
}
