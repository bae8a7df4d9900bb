//! Progress on stderr: a bar with rate and time left where a person watches, nothing elsewhere.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` of something (`what`, in the plural).
pub(crate) fn bar(total: usize, what: &str, shown: bool) -> ProgressBar {
    let template = "{msg:>22} {wide_bar} {pos}/{len} {per_sec:>12} {eta:>4} left";
    styled(total, template, shown).with_message(what.to_string())
}

/// A bar over `total` parts of a whole that only its message can tell about.
pub(crate) fn told_bar(total: usize, shown: bool) -> ProgressBar {
    styled(total, "{bar:40} {percent:>3}% {eta:>4} left  {msg}", shown)
}

fn styled(total: usize, template: &str, shown: bool) -> ProgressBar {
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).expect("a valid template");
    ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
}

/// Where features are kept between runs: `$SENSORIUM_CACHE`, else `sensorium` in the user's cache folder.
pub(crate) fn cache_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("SENSORIUM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("sensorium")))
        .or_else(|| set("LOCALAPPDATA").map(|folder| folder.join("sensorium")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/sensorium")))
        .unwrap_or_else(|| PathBuf::from(".sensorium-cache"))
}
