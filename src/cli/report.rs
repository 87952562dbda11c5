//! Reporters: the events of a run as a terminal's lines, as plain lines, or as JSON.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::AnsiColor;
use indicatif::{MultiProgress, ProgressDrawTarget};

use super::bars::Bars;
use super::events::JsonFile;
use super::out::Out;
use crate::ids::Addr;
use crate::model::event::{Event, Outcome};
use crate::plain::plain;
use crate::serve::Log;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Bars,
    Lines,
    /// Lines that somebody has asked for: they go where answers go.
    Told,
    Json,
}

impl Style {
    pub fn choose() -> Style {
        if std::io::stderr().is_terminal() {
            Style::Bars
        } else {
            Style::Lines
        }
    }
}

const REDRAW_HZ: u8 = 10;

/// What is told once of each: the first of its steps that was not begun stands for those after it, which are in the counts.
const NOT_BEGUN: &str = "not begun";

#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Inner>,
}

struct Inner {
    style: Style,
    out: Out,
    screen: MultiProgress,
    bars: Mutex<Bars>,
    /// What was told of whom in lines: for the same thing nobody is told to wait again.
    told: Mutex<BTreeSet<(Addr, String)>>,
    /// `--json-into`: every event goes there too.
    file: Mutex<Option<JsonFile>>,
}

impl Reporter {
    pub fn new(style: Style, out: Out, file: Option<JsonFile>) -> Reporter {
        let target = match style {
            Style::Bars => ProgressDrawTarget::stderr_with_hz(REDRAW_HZ),
            Style::Lines | Style::Told | Style::Json => ProgressDrawTarget::hidden(),
        };
        let screen = MultiProgress::with_draw_target(target);
        Reporter {
            inner: Arc::new(Inner {
                style,
                out,
                screen,
                bars: Mutex::default(),
                told: Mutex::default(),
                file: Mutex::new(file),
            }),
        }
    }

    /// For the services of a site: their lines go between the others.
    pub fn log(&self, site: Addr) -> Log {
        let reporter = self.clone();
        Arc::new(move |text| {
            reporter.event(&Event::Warning {
                subject: Some(site.clone()),
                text,
            })
        })
    }

    pub fn event(&self, event: &Event) {
        let mut file = self
            .inner
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The run goes on without a file that cannot be written: it is said once.
        if let Some(Err(failure)) = file.as_mut().map(|file| file.event(event)) {
            failure.tell(&self.inner.out);
            *file = None;
        }
        drop(file);
        match self.inner.style {
            Style::Json => {
                if let Ok(text) = serde_json::to_string(event) {
                    self.inner.out.line(&text);
                }
            }
            Style::Lines => {
                if let Some(text) = self.text(event) {
                    self.inner.out.note(&text);
                }
            }
            Style::Told => {
                if let Some(text) = self.text(event) {
                    self.inner.out.line(&text);
                }
            }
            Style::Bars => self.bars(event),
        }
    }

    pub fn close(&self) {
        let file = self
            .inner
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Err(failure)) = file.map(|mut file| file.finish()) {
            failure.tell(&self.inner.out);
        }
        self.bars_of_run().close();
    }

    fn is_news(&self, subject: &Addr, reason: &str) -> bool {
        let mut told = self
            .inner
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.insert((subject.clone(), reason.to_owned()))
    }

    /// One line for what is worth one.
    fn text(&self, event: &Event) -> Option<String> {
        let out = &self.inner.out;
        let green = AnsiColor::Green.on_default();
        let red = AnsiColor::Red.on_default().bold();
        let yellow = AnsiColor::Yellow.on_default();
        match event {
            Event::StepFinished {
                subject,
                title,
                elapsed_ms,
                outcome,
                step: _,
            } => {
                let time = format!("{}.{} s", elapsed_ms / 1000, elapsed_ms % 1000 / 100);
                if !outcome.was_begun() && !self.is_news(subject, NOT_BEGUN) {
                    return None;
                }
                Some(match outcome {
                    Outcome::Done { detail } => {
                        let word = out.paint_err(green, "done");
                        format!(
                            "{subject}: {title}: {word} after {time} ({})",
                            plain(detail)
                        )
                    }
                    Outcome::AlreadyDone { detail } => {
                        let word = out.paint_err(green, "already done");
                        format!("{subject}: {title}: {word} ({detail})")
                    }
                    Outcome::Failed { why } => {
                        let word = out.paint_err(red, "FAILED");
                        format!("{subject}: {title}: {word} after {time}: {}", plain(why))
                    }
                    Outcome::Blocked { by } => {
                        let word = out.paint_err(yellow, "blocked");
                        format!("{subject}: {title}: {word} by {by}")
                    }
                    Outcome::Outside { why } => {
                        let word = out.paint_err(yellow, "not started");
                        format!("{subject}: {word}: outside of {why}")
                    }
                    Outcome::NotStarted => {
                        let word = out.paint_err(yellow, "not started");
                        format!("{subject}: {title}: {word}")
                    }
                })
            }
            Event::Warning { subject, text } => {
                let who = subject
                    .as_ref()
                    .map(|s| format!("{s}: "))
                    .unwrap_or_default();
                let word = out.paint_err(yellow, "Warning");
                Some(format!("{word}: {who}{}", plain(text)))
            }
            Event::Waiting {
                subject,
                title,
                reason,
                step: _,
            } => self
                .is_news(subject, reason)
                .then(|| format!("{subject}: {title} waits for {reason}")),
            Event::Stream { .. }
            | Event::PlannedChange { .. }
            | Event::Planned { .. }
            | Event::RunStarted { .. }
            | Event::StepStarted { .. }
            | Event::Progress { .. }
            | Event::RunFinished { .. } => None,
        }
    }

    fn bars(&self, event: &Event) {
        if is_told_beside_bars(event)
            && let Some(text) = self.text(event)
        {
            // A terminal that has gone away shows nothing.
            let _ = self.inner.screen.println(text);
        }
        self.bars_of_run().event(event, &self.inner.screen);
    }

    fn bars_of_run(&self) -> std::sync::MutexGuard<'_, Bars> {
        let bars = self.inner.bars.lock();
        bars.unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_told_beside_bars(event: &Event) -> bool {
    match event {
        Event::StepFinished { outcome, .. } => !outcome.is_good(),
        Event::Warning { .. } => true,
        Event::Stream { .. }
        | Event::PlannedChange { .. }
        | Event::Planned { .. }
        | Event::RunStarted { .. }
        | Event::StepStarted { .. }
        | Event::Waiting { .. }
        | Event::Progress { .. }
        | Event::RunFinished { .. } => false,
    }
}
