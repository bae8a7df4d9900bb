//! `sensorium devices`.

use std::io::Write;

use sensorium_core::device;
use serde_json::json;

/// Lists the devices this build can use, each with a 512×512 matrix product, timed and compared with f64.
pub(crate) fn run(as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let listed = device::list();
    let rows: Vec<_> = listed.iter().map(|listed| (listed, device::check(listed))).collect();
    if as_json {
        let devices: Vec<_> = rows
            .iter()
            .map(|(listed, checked)| match checked {
                Ok(c) => json!({"name": listed.name, "part": listed.part, "ok": true, "gflops": c.gflops,
                                "first_ms": c.first.as_secs_f64() * 1e3, "warm_ms": c.warm.as_secs_f64() * 1e3,
                                "max_error": c.error}),
                Err(e) => json!({"name": listed.name, "part": listed.part, "ok": false, "error": e.to_string()}),
            })
            .collect();
        writeln!(out, "{}", json!({"devices": devices, "not_built": device::not_built()}))?;
        return Ok(());
    }
    for (listed, checked) in rows {
        let part = listed.part.as_deref().unwrap_or("this machine's processor");
        match checked {
            Ok(c) => writeln!(
                out,
                "{:<10} {part}: 512×512 product in {:.2} ms ({:.0} GFLOP/s), {:.0} ms the first time",
                listed.name,
                c.warm.as_secs_f64() * 1e3,
                c.gflops,
                c.first.as_secs_f64() * 1e3
            )?,
            Err(error) => writeln!(out, "{:<10} {part}: {error}", listed.name)?,
        }
    }
    let missing = device::not_built();
    if !missing.is_empty() {
        writeln!(out, "not in this build: {} (build with --features NAME)", missing.join(", "))?;
    }
    Ok(())
}
