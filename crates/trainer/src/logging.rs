//! Warnings and errors of the libraries, as plain lines on stderr.

use crate::console;
use std::fmt::{self, Write};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Passes warnings and errors on. Without spans, filters and time stamps this is all there is to a subscriber.
struct Warnings;

/// Begins to pass them on. A second call changes nothing.
pub fn init() {
    // It fails if something else listens already, and then that is how it should be.
    let _ = tracing::subscriber::set_global_default(Warnings);
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::begin(*event.metadata().level());
        event.record(&mut line);
        console::message(&line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Line {
    fn begin(level: Level) -> Self {
        Self(if level == Level::ERROR { "error:".to_owned() } else { "warning:".to_owned() })
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The message comes as format arguments, whose Debug is their Display.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Collects the lines that [`Warnings`] would print.
    struct Collect(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Collect {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            Warnings.enabled(metadata)
        }
        fn event(&self, event: &Event<'_>) {
            let mut line = Line::begin(*event.metadata().level());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            Warnings.new_span(span)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn warnings_are_plain_lines_and_the_rest_is_silent() {
        let lines = Arc::new(Mutex::new(vec![]));
        tracing::subscriber::with_default(Collect(lines.clone()), || {
            tracing::warn!("using the stand-in: {}", "offline");
            tracing::error!(code = 7, "lost");
            tracing::info!("not shown");
            let _span = tracing::error_span!("not shown").entered();
        });
        assert_eq!(*lines.lock().unwrap(), ["warning: using the stand-in: offline", "error: lost code=7"]);
    }
}
