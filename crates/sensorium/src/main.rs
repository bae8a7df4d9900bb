//! The `sensorium` command: a thin layer over the crates. Data goes to stdout, progress and logs to stderr.
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod arrays;
mod audio;
mod caption;
mod demo;
mod devices;
mod joint;
mod pictures;
mod progress;
mod text;
mod training;
mod vision;

use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

/// Multimodal learning: text, images, sound and 3D in one space.
#[derive(Parser)]
#[command(name = "sensorium", version, about)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    area: Area,
}

/// Flags every verb takes.
#[derive(Args, Debug, Clone)]
pub(crate) struct Global {
    /// Where models run: flex, ndarray, wgpu[:n], vulkan[:n], metal[:n] or cuda[:n]; see `sensorium devices`.
    #[arg(long, global = true, default_value = "flex")]
    device: String,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// No progress, only warnings and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Global {
    /// The device that `--device` names.
    pub(crate) fn device(&self) -> anyhow::Result<Device> {
        Ok(sensorium_core::device::parse(&self.device)?)
    }

    /// The device that `--device` names, where it is a GPU: for work that has kernels of its own for processors.
    pub(crate) fn gpu(&self) -> anyhow::Result<Option<Device>> {
        let device = self.device()?;
        Ok((!sensorium_core::device::is_cpu(&self.device)).then_some(device))
    }

    /// Whether to draw progress on stderr.
    pub(crate) fn progress(&self) -> bool {
        !self.quiet
    }
}

#[derive(Subcommand)]
enum Area {
    /// Sound: spectrograms, mel bands, cepstra, other sample rates, voices, speech.
    #[command(subcommand)]
    Audio(audio::Verb),
    /// Sentences for pictures: train, import, run.
    #[command(subcommand)]
    Caption(caption::Verb),
    /// The main job in one go: learn one space of pictures and words from the bundled emoji, and report.
    Demo(demo::Demo),
    /// List what this build can run on, with a tiny timed check.
    Devices,
    /// One space of pictures and words: train, evaluate, tag, search, arithmetic.
    #[command(subcommand)]
    Joint(joint::Verb),
    /// Word vectors: train, ask, evaluate, draw, convert.
    #[command(subcommand)]
    Text(text::Verb),
    /// Pictures: classify, resize, features.
    #[command(subcommand)]
    Vision(vision::VisionCommand),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.global.quiet);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let global = cli.global;
    match cli.area {
        Area::Audio(verb) => verb.run(&global),
        Area::Caption(verb) => verb.run(&global),
        Area::Demo(demo) => demo.run(&global),
        Area::Devices => devices::run(global.json),
        Area::Joint(verb) => verb.run(&global),
        Area::Text(verb) => verb.run(&global),
        Area::Vision(command) => vision::run(command, &global.device()?, global.json),
    }
}

fn start_log(quiet: bool) {
    let level = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .init();
}

/// An error and its causes on one line; errors of the libraries tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// `sensorium ... | head`: whoever read our output has enough.
fn reader_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
