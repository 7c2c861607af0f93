//! The table of `docs/RELIABILITY.md`.

use crate::campaign::CAMPAIGNS;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{error, fmt, fs, io};

/// The line before the table.
pub const BEGIN: &str = "<!-- faults: begin, written by `cargo xtask faults` -->";

/// The line after the table.
pub const END: &str = "<!-- faults: end -->";

/// A row of the table, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The campaign.
    pub id: String,
    /// How often the fault was injected.
    pub times: u64,
    /// What happened.
    pub happened: String,
}

/// Why there is no table.
#[derive(Debug)]
pub enum TableError {
    /// A campaign left no record, or one that cannot be read.
    Record {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The page has no place for the table.
    NoMarkers,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { path, error } => write!(f, "the record {} of a campaign: {error}", path.display()),
            Self::NoMarkers => write!(f, "the page lacks the lines `{BEGIN}` and `{END}`"),
        }
    }
}

impl error::Error for TableError {}

/// The table of what the campaigns recorded in this folder. All of them must have.
pub fn table(ledger: &Path) -> Result<String, TableError> {
    let mut text = "| campaign | injected | times | what happened |\n|---|---|---:|---|\n".to_owned();
    for campaign in CAMPAIGNS {
        let path = ledger.join(campaign.id);
        let record = fs::read_to_string(&path);
        let parsed = record.and_then(|record| {
            let (times, happened) = record.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
            let times: u64 = times.parse().map_err(io::Error::other)?;
            Ok((times, happened.trim_end().to_owned()))
        });
        let (times, happened) = parsed.map_err(|error| TableError::Record { path, error })?;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {} | {happened} |", campaign.id, campaign.injected, thousands(times));
    }
    Ok(text)
}

/// The page with another table between the markers.
pub fn replace(page: &str, table: &str) -> Result<String, TableError> {
    let (before, rest) = page.split_once(BEGIN).ok_or(TableError::NoMarkers)?;
    let (_, after) = rest.split_once(END).ok_or(TableError::NoMarkers)?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// The rows between the markers.
pub fn rows(page: &str) -> Result<Vec<Row>, TableError> {
    let (_, rest) = page.split_once(BEGIN).ok_or(TableError::NoMarkers)?;
    let (table, _) = rest.split_once(END).ok_or(TableError::NoMarkers)?;
    let cells = |line: &str| -> Option<Row> {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, times, happened] = cells[..] else { return None };
        let id = id.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some(Row { id, times: times.replace(',', "").parse().ok()?, happened: happened.to_owned() })
    };
    Ok(table.lines().filter_map(cells).collect())
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = std::env::temp_dir().join(format!("selvedge-faults-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        assert!(matches!(table(&folder), Err(TableError::Record { .. })), "nothing was recorded");
        for (index, campaign) in CAMPAIGNS.iter().enumerate() {
            let record = format!("{}\nwent well\n", 1234 * (index + 1));
            fs::write(folder.join(campaign.id), record).expect("a file");
        }
        let text = table(&folder).expect("all campaigns are there");
        fs::remove_dir_all(&folder).expect("was made");
        assert!(text.contains("| 1,234 | went well |"), "{text}");

        let page = format!("# Page\n{BEGIN}\nold\n{END}\nmore\n");
        let page = replace(&page, &text).expect("has markers");
        assert!(page.starts_with("# Page\n") && page.ends_with("\nmore\n") && !page.contains("old"), "{page}");
        let rows = rows(&page).expect("has markers");
        assert_eq!(rows.len(), CAMPAIGNS.len());
        for (index, (row, campaign)) in rows.iter().zip(CAMPAIGNS).enumerate() {
            let happened = "went well".to_owned();
            assert_eq!(*row, Row { id: campaign.id.to_owned(), times: 1234 * (index as u64 + 1), happened });
        }
        assert!(matches!(replace("no markers", ""), Err(TableError::NoMarkers)));
    }
}
