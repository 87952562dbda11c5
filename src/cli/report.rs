//! Reporters: the events of a run as a terminal's lines, as plain lines, or as JSON.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::AnsiColor;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::events::JsonFile;
use super::out::Out;
use crate::ids::{Addr, Kind};
use crate::model::event::{Event, Outcome};
use crate::serve::Log;
use crate::units::human_bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Bars,
    Lines,
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

/// More bars than this cost more than they tell.
const BARS_MAX: usize = 30;
const REDRAW_HZ: u8 = 10;
/// Steps after which an instance has nothing more to do.
const LAST_TITLES: [&str; 2] = ["finish", "release node"];

#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Inner>,
}

struct Inner {
    style: Style,
    out: Out,
    screen: MultiProgress,
    bars: Mutex<Bars>,
    /// `--json-into`: every event goes there too.
    file: Mutex<Option<JsonFile>>,
}

#[derive(Default)]
struct Bars {
    summary: Option<ProgressBar>,
    by_subject: BTreeMap<Addr, ProgressBar>,
}

impl Reporter {
    pub fn new(style: Style, out: Out, file: Option<JsonFile>) -> Reporter {
        let target = match style {
            Style::Bars => ProgressDrawTarget::stderr_with_hz(REDRAW_HZ),
            Style::Lines | Style::Json => ProgressDrawTarget::hidden(),
        };
        let screen = MultiProgress::with_draw_target(target);
        Reporter {
            inner: Arc::new(Inner {
                style,
                out,
                screen,
                bars: Mutex::default(),
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
        let mut bars = self
            .inner
            .bars
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for bar in std::mem::take(&mut bars.by_subject)
            .into_values()
            .chain(bars.summary.take())
        {
            bar.finish_and_clear();
        }
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
                Some(match outcome {
                    Outcome::Done { detail } => {
                        let word = out.paint_err(green, "done");
                        format!("{subject}: {title}: {word} after {time} ({detail})")
                    }
                    Outcome::AlreadyDone { detail } => {
                        let word = out.paint_err(green, "already done");
                        format!("{subject}: {title}: {word} ({detail})")
                    }
                    Outcome::Failed { why } => {
                        let word = out.paint_err(red, "FAILED");
                        format!("{subject}: {title}: {word} after {time}: {why}")
                    }
                    Outcome::Blocked { by } => {
                        let word = out.paint_err(yellow, "blocked");
                        format!("{subject}: {title}: {word} by {by}")
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
                Some(format!("{}: {who}{text}", out.paint_err(yellow, "Warning")))
            }
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
        let mut bars = self
            .inner
            .bars
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let screen = &self.inner.screen;
        match event {
            Event::RunStarted { steps, .. } => {
                let bar = screen.add(ProgressBar::new(*steps as u64));
                bar.set_style(style("{elapsed_precise} {bar:30} {pos}/{len} steps"));
                bar.enable_steady_tick(Duration::from_secs(1));
                bars.summary = Some(bar);
            }
            Event::StepStarted {
                subject,
                title,
                step: _,
            } => {
                if !bars.by_subject.contains_key(subject) && bars.by_subject.len() < BARS_MAX {
                    let bar = screen.insert(0, ProgressBar::new(0));
                    bar.set_style(style("  {prefix}: {msg}"));
                    bar.set_prefix(subject.to_string());
                    bars.by_subject.insert(subject.clone(), bar);
                }
                if let Some(bar) = bars.by_subject.get(subject) {
                    bar.reset_elapsed();
                    bar.set_message(title.clone());
                }
            }
            Event::Progress {
                subject,
                phase,
                done,
                total,
                step: _,
            } => {
                if let Some(bar) = bars.by_subject.get(subject) {
                    let rate = bar.elapsed().as_secs().max(1);
                    bar.set_message(format!(
                        "{phase} {} of {} ({}/s)",
                        human_bytes(*done),
                        human_bytes(*total),
                        human_bytes(done / rate)
                    ));
                }
            }
            Event::StepFinished {
                outcome,
                subject,
                title,
                ..
            } => {
                if let Some(summary) = &bars.summary {
                    summary.inc(1);
                }
                if let (false, Some(text)) = (outcome.is_good(), self.text(event)) {
                    // A terminal that has gone away shows nothing.
                    let _ = screen.println(text);
                }
                // An instance keeps its line from step to step; everything else has had its one.
                let goes_on = outcome.is_good()
                    && subject.kind == Kind::Instance
                    && !LAST_TITLES.contains(&title.as_str());
                if !goes_on && let Some(bar) = bars.by_subject.remove(subject) {
                    bar.finish_and_clear();
                }
            }
            Event::Warning { .. } => {
                if let Some(text) = self.text(event) {
                    let _ = screen.println(text);
                }
            }
            Event::Stream { .. }
            | Event::PlannedChange { .. }
            | Event::Planned { .. }
            | Event::RunFinished { .. } => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one shows as the default style.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
